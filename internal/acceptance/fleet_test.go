package acceptance

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/droverhq/drover/internal/harness"
	"github.com/droverhq/drover/internal/harness/harnesstest"
)

var program = harnesstest.NewProgram()

func TestMain(m *testing.M) { os.Exit(harnesstest.Run(m)) }

// fleet is a server and its agents as real processes.
type fleet struct {
	*harnesstest.Host
	t      *testing.T
	server harness.Server
	agents map[string]*harness.Process
}

// newFleet starts a server and returns its process, too.
func newFleet(t *testing.T) (*fleet, *harness.Process) {
	t.Helper()
	f := &fleet{Host: harnesstest.NewHost(t, program), t: t, agents: map[string]*harness.Process{}}
	f.Env = append(f.Env, "FLEET="+f.Folder, "DROVER_PASS_ENV=FLEET")
	f.server = harness.Server{Listen: harnesstest.FreeAddress(t), Tick: time.Second,
		Data: filepath.Join(f.Folder, "server")}
	server := f.Start(f.server.Spec())
	f.AwaitReady(server, f.server.URL())
	return f, server
}

func (f *fleet) startAgent(name, token string) {
	f.agents[name] = f.Start(harness.Agent{Name: name, Environment: "production", Roles: []string{"web"},
		Servers: []string{f.server.URL()}, Join: token, Data: filepath.Join(f.Folder, "agent-"+name)}.Spec())
}

// ok runs a command until it succeeds, because a server that is being killed may not answer.
func (f *fleet) ok(stdin string, args ...string) (stdout string) {
	f.t.Helper()
	harnesstest.Until(f.t, "drover "+strings.Join(args, " ")+" succeeds", func() error {
		result := f.Run(stdin, args...)
		stdout = result.Stdout
		if result.Code != 0 {
			return fmt.Errorf("exit code %d: %s", result.Code, result.Stderr)
		}
		return nil
	})
	return stdout
}

type machine struct {
	Name      string
	Presence  string
	Installed []struct{ Project, Release string }
}

// machines returns the output of get machines by name, nil if the server does not answer.
func (f *fleet) machines() map[string]machine {
	result := f.Run("", "get", "machines", "-o", "json")
	if result.Code != 0 {
		return nil
	}
	var list struct{ Items []machine }
	if json.Unmarshal([]byte(result.Stdout), &list) != nil || list.Items == nil {
		require.NoError(f.t, json.Unmarshal([]byte(result.Stdout), &list.Items), result.Stdout)
	}
	byName := map[string]machine{}
	for _, m := range list.Items {
		byName[m.Name] = m
	}
	return byName
}

func (m machine) release() string {
	for _, i := range m.Installed {
		return i.Release
	}
	return ""
}

func (f *fleet) eventually(what string, done func() bool) {
	f.t.Helper()
	require.Eventually(f.t, done, 120*time.Second, 150*time.Millisecond, what)
}

type why struct{ Wanted, Actual, Verdict, Reason string }

func (f *fleet) why(name string) why {
	out := f.ok("", "why", name, "--project", "shop", "-o", "json")
	var list struct{ Items []why }
	if json.Unmarshal([]byte(out), &list) == nil && len(list.Items) > 0 {
		return list.Items[0]
	}
	var one why
	if json.Unmarshal([]byte(out), &one) == nil {
		return one
	}
	var items []why
	require.NoError(f.t, json.Unmarshal([]byte(out), &items), out)
	return items[0]
}

// ran returns the lines that the steps wrote on the machines.
func (f *fleet) ran() []string {
	text, err := os.ReadFile(filepath.Join(f.Folder, "ran"))
	if os.IsNotExist(err) {
		return nil
	}
	require.NoError(f.t, err)
	return strings.Split(strings.TrimSpace(string(text)), "\n")
}

func (f *fleet) ranOn(name, release string) (n int) {
	for _, line := range f.ran() {
		if strings.HasPrefix(line, name+" "+release+" ") {
			n++
		}
	}
	return n
}

const shop = `
apiVersion: drover.dev/v1
kind: Environment
metadata: {name: production}
spec: {}
---
apiVersion: drover.dev/v1
kind: Project
metadata: {name: shop}
spec:
  roles: [web]
  automatic: {attempts: 2, backoff: 1s}
  steps:
    - name: install
      run: |
        echo "$DROVER_MACHINE $DROVER_RELEASE $DROVER_DEPLOYMENT $DROVER_ATTEMPT" >> "$FLEET/ran"
        test ! -e "$FLEET/broken-$DROVER_MACHINE"
---
apiVersion: drover.dev/v1
kind: Trigger
metadata: {name: joins}
spec: {project: shop, events: [MachineAvailable], environments: [production]}
`

// TestFleetConvergesWhileServerIsKilledTwentyTimes covers the main job of drover from end to end.
func TestFleetConvergesWhileServerIsKilledTwentyTimes(t *testing.T) {
	f, server := newFleet(t)
	f.ok(shop, "apply", "-f", "-")
	token := strings.TrimSpace(f.ok("", "token", "create", "--join", "--uses", "0"))
	for n := 1; n <= 3; n++ {
		f.startAgent(fmt.Sprintf("web-0%d", n), token)
	}
	f.eventually("three machines are online", func() bool { return count(f.machines(), "online", "") == 3 })
	f.ok("", "release", "create", "shop", "1.0")
	f.ok("", "deploy", "shop", "1.0", "--to", "production", "--wait", "--timeout", "30s")
	require.Equal(t, 3, count(f.machines(), "online", "1.0"))

	kills := f.killAtRandom(server, 20)

	f.startAgent("web-04", token)
	f.eventually("the fourth machine has the release", func() bool { return f.machines()["web-04"].release() == "1.0" })
	require.Zero(t, harnesstest.Stop(f.agents["web-04"]), "exit code")
	f.startAgent("web-04", token)
	f.eventually("the fourth machine is back", func() bool { return f.machines()["web-04"].Presence == "online" })

	require.NoError(t, os.WriteFile(filepath.Join(f.Folder, "broken-web-04"), nil, 0o600))
	f.ok("", "release", "create", "shop", "1.1")
	f.ok("", "pin", "shop", "1.1", "--in", "production")
	f.eventually("the others have the pinned release", func() bool { return count(f.machines(), "online", "1.1") == 3 })
	f.eventually("the failing machine is left alone",
		func() bool { return f.why("web-04").Reason == "retries-exhausted" })
	<-kills

	f.eventually("all machines are online", func() bool { return count(f.machines(), "online", "") == 4 })
	for n := 1; n <= 3; n++ {
		require.Equal(t, why{"1.1", "1.1", "none", "up-to-date"}, f.why(fmt.Sprintf("web-0%d", n)))
	}
	require.Equal(t, why{"1.1", "1.0", "wait", "retries-exhausted"}, f.why("web-04"))
	require.Equal(t, 1, f.ranOn("web-04", "1.0"), "a machine that reconnects must not be deployed to again")
	require.Equal(t, 2, f.ranOn("web-04", "1.1"), "two attempts")
	seen := map[string]bool{}
	for _, line := range f.ran() {
		require.False(t, seen[line], "a part ran twice: %s", line)
		seen[line] = true
	}
	f.ok("", "eventlog", "verify")
}

func count(machines map[string]machine, presence, release string) (n int) {
	for _, m := range machines {
		if m.Presence == presence && (release == "" || m.release() == release) {
			n++
		}
	}
	return n
}

// killAtRandom kills the server n times and restarts it at once, while the test continues. The channel is closed
// after the last start.
func (f *fleet) killAtRandom(server *harness.Process, n int) <-chan struct{} {
	seed := rand.Uint64()
	f.t.Logf("the server is killed with seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 1))
	done := make(chan struct{})
	go func() {
		defer close(done)
		for range n {
			select {
			case <-time.After(time.Duration(200+random.IntN(1300)) * time.Millisecond):
			case <-f.t.Context().Done():
				return
			}
			server.Kill()
			var err error
			if server, err = f.Host.Host.Start(f.server.Spec()); err != nil {
				f.t.Error(err)
				return
			}
		}
	}()
	f.t.Cleanup(func() { <-done }) // otherwise it could start a server after the test
	return done
}
