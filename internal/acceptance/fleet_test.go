package acceptance

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/droverhq/drover/internal/built"
)

// fleet is a server and its agents as real processes, in folders of their own.
type fleet struct {
	t       *testing.T
	folder  string
	binary  string
	address string
	env     []string

	mu     sync.Mutex
	server *exec.Cmd
	agents map[string]*exec.Cmd
}

func newFleet(t *testing.T) *fleet {
	t.Helper()
	f := &fleet{t: t, folder: t.TempDir(), agents: map[string]*exec.Cmd{}, address: freeAddress(t)}
	f.binary = filepath.Join(f.folder, "drover")
	require.NoError(t, built.Program(f.binary))
	f.env = []string{"HOME=" + f.folder, "PATH=" + f.folder + ":" + os.Getenv("PATH"), "YARD=" + f.folder}
	t.Cleanup(f.stop)
	f.startServer()
	return f
}

func freeAddress(t *testing.T) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	return l.Addr().String()
}

// start runs drover in the background; what it prints goes to a file that a failed test shows.
func (f *fleet) start(name string, args ...string) *exec.Cmd {
	out, err := os.OpenFile(filepath.Join(f.folder, name+".log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	require.NoError(f.t, err)
	defer out.Close()
	cmd := exec.Command(f.binary, args...)
	cmd.Env, cmd.Dir, cmd.Stdout, cmd.Stderr = f.env, f.folder, out, out
	require.NoError(f.t, cmd.Start())
	return cmd
}

func (f *fleet) startServer() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.server = f.start("server", "server", "--listen", f.address, "--data", filepath.Join(f.folder, "server"), "--tick", "1s")
}

// killServer is kill -9 and a restart, the moment it is dead.
func (f *fleet) killServer() {
	f.mu.Lock()
	dead := f.server
	f.mu.Unlock()
	_ = dead.Process.Kill()
	_ = dead.Wait()
	f.startServer()
}

func (f *fleet) startAgent(name, token string) {
	f.agents[name] = f.start(name, "agent", "--server", "http://"+f.address, "--join", token, "--name", name,
		"--environment", "production", "--role", "web", "--data", filepath.Join(f.folder, "agent-"+name))
}

// stopAgent stops an agent in order, as a service manager does.
func (f *fleet) stopAgent(name string) {
	_ = f.agents[name].Process.Signal(syscall.SIGTERM)
	_ = f.agents[name].Wait()
}

func (f *fleet) stop() {
	for _, agent := range f.agents {
		_ = agent.Process.Kill()
		_ = agent.Wait()
	}
	_ = f.server.Process.Kill()
	_ = f.server.Wait()
	if !f.t.Failed() {
		return
	}
	logs, _ := filepath.Glob(filepath.Join(f.folder, "*.log"))
	for _, path := range logs {
		text, _ := os.ReadFile(path)
		f.t.Logf("%s:\n%s", filepath.Base(path), text[max(0, len(text)-4000):])
	}
}

// run is one command line; it returns what was printed and the exit code.
func (f *fleet) run(stdin string, args ...string) (stdout, stderr string, code int) {
	cmd := exec.Command(f.binary, args...)
	var out, words bytes.Buffer
	cmd.Env, cmd.Dir, cmd.Stdin, cmd.Stdout, cmd.Stderr = f.env, f.folder, strings.NewReader(stdin), &out, &words
	err := cmd.Run()
	if exit := (*exec.ExitError)(nil); err != nil && !errors.As(err, &exit) {
		f.t.Fatalf("drover %v: %v", args, err)
	}
	return out.String(), words.String(), cmd.ProcessState.ExitCode()
}

// ok is a command line that must succeed. A server that is being killed may answer nothing for a moment.
func (f *fleet) ok(stdin string, args ...string) string {
	f.t.Helper()
	var stdout, stderr string
	require.Eventually(f.t, func() bool {
		var code int
		stdout, stderr, code = f.run(stdin, args...)
		return code == 0
	}, 30*time.Second, 100*time.Millisecond, "drover %v: %s", args, lazy{&stderr})
	return stdout
}

// lazy is a text that is read when a failure is printed.
type lazy struct{ text *string }

func (l lazy) String() string { return *l.text }

type machine struct {
	Name      string
	Presence  string
	Installed []struct{ Project, Release string }
}

// machines are what get says; nil if the server does not answer.
func (f *fleet) machines() map[string]machine {
	out, _, code := f.run("", "get", "machines", "-o", "json")
	if code != 0 {
		return nil
	}
	var list struct{ Items []machine }
	if json.Unmarshal([]byte(out), &list) != nil || list.Items == nil {
		require.NoError(f.t, json.Unmarshal([]byte(out), &list.Items), out)
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

// ran are the lines that the steps themselves wrote: what really happened on the machines.
func (f *fleet) ran() []string {
	text, err := os.ReadFile(filepath.Join(f.folder, "ran"))
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
        echo "$DROVER_MACHINE $DROVER_RELEASE $DROVER_DEPLOYMENT $DROVER_ATTEMPT" >> "$YARD/ran"
        test ! -e "$YARD/broken-$DROVER_MACHINE"
---
apiVersion: drover.dev/v1
kind: Trigger
metadata: {name: joins}
spec: {project: shop, events: [MachineAvailable], environments: [production]}
`

// TestAFleetIsKeptAtItsReleaseWhileTheServerIsKilledTwentyTimes is the main job, end to end.
func TestAFleetIsKeptAtItsReleaseWhileTheServerIsKilledTwentyTimes(t *testing.T) {
	f := newFleet(t)
	f.ok(shop, "apply", "-f", "-")
	token := strings.TrimSpace(f.ok("", "token", "create", "--join", "--uses", "0"))
	for n := 1; n <= 3; n++ {
		f.startAgent(fmt.Sprintf("web-0%d", n), token)
	}
	f.eventually("three machines are online", func() bool { return count(f.machines(), "online", "") == 3 })
	f.ok("", "release", "create", "shop", "1.0")
	f.ok("", "deploy", "shop", "1.0", "--to", "production", "--wait", "--timeout", "30s")
	require.Equal(t, 3, count(f.machines(), "online", "1.0"))

	kills := f.killAtRandom(20)

	f.startAgent("web-04", token)
	f.eventually("the fourth machine has the release", func() bool { return f.machines()["web-04"].release() == "1.0" })
	f.stopAgent("web-04")
	f.startAgent("web-04", token)
	f.eventually("the fourth machine is back", func() bool { return f.machines()["web-04"].Presence == "online" })

	require.NoError(t, os.WriteFile(filepath.Join(f.folder, "broken-web-04"), nil, 0o600))
	f.ok("", "release", "create", "shop", "1.1")
	f.ok("", "pin", "shop", "1.1", "--in", "production")
	f.eventually("the others have the pinned release", func() bool { return count(f.machines(), "online", "1.1") == 3 })
	f.eventually("the failing machine is left alone", func() bool { return f.why("web-04").Reason == "retries-exhausted" })
	<-kills

	f.eventually("all is quiet", func() bool { return count(f.machines(), "online", "") == 4 })
	for n := 1; n <= 3; n++ {
		require.Equal(t, why{"1.1", "1.1", "none", "up-to-date"}, f.why(fmt.Sprintf("web-0%d", n)))
	}
	require.Equal(t, why{"1.1", "1.0", "wait", "retries-exhausted"}, f.why("web-04"))
	require.Equal(t, 1, f.ranOn("web-04", "1.0"), "it flapped and was not deployed to twice")
	require.Equal(t, 2, f.ranOn("web-04", "1.1"), "two attempts and no more")
	seen := map[string]bool{}
	for _, line := range f.ran() {
		require.False(t, seen[line], "a part ran twice: %s", line)
		seen[line] = true
	}
	f.ok("", "log", "verify")
}

func count(machines map[string]machine, presence, release string) (n int) {
	for _, m := range machines {
		if m.Presence == presence && (release == "" || m.release() == release) {
			n++
		}
	}
	return n
}

// killAtRandom kills the server n times while the test goes on; the channel is closed after the last.
func (f *fleet) killAtRandom(n int) <-chan struct{} {
	seed := rand.Uint64()
	f.t.Logf("the server is killed with seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 1))
	done := make(chan struct{})
	go func() {
		defer close(done)
		for range n {
			pause := time.NewTimer(time.Duration(200+random.IntN(1300)) * time.Millisecond)
			<-pause.C
			f.killServer()
		}
	}()
	return done
}
