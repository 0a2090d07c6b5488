package cli_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/droverhq/drover/api/client"
	"github.com/droverhq/drover/explain"
	"github.com/droverhq/drover/internal/harness"
	"github.com/droverhq/drover/internal/harness/harnesstest"
)

// fixture runs a server, agents and commands as processes in a temporary home.
type fixture struct {
	*harnesstest.Host
	t       *testing.T
	data    string // data folder of the server
	address string // HOST:PORT of the server
}

func newFixture(t *testing.T) *fixture {
	t.Helper()
	address := harnesstest.FreeAddress(t)
	host := harnesstest.NewHost(t, program, "DROVER_TICK=1s", "DROVER_LISTEN="+address)
	return &fixture{Host: host, t: t, data: filepath.Join(host.Folder, "data"), address: address}
}

func (s *fixture) url() string { return "http://" + s.address }

// process starts drover in the background.
func (s *fixture) process(args ...string) *harness.Process {
	s.t.Helper()
	return s.Start(harness.Spec{Name: "drover " + strings.Join(args, " "), Args: args})
}

// run runs one command and waits for its end.
func (s *fixture) run(args ...string) (stdout, stderr string, code int) {
	s.t.Helper()
	result := s.Run("", args...)
	return result.Stdout, result.Stderr, result.Code
}

// ok runs one command that must succeed.
func (s *fixture) ok(args ...string) string {
	s.t.Helper()
	stdout, stderr, code := s.run(args...)
	require.Zero(s.t, code, "drover %s: %s", strings.Join(args, " "), stderr)
	return strings.TrimSpace(stdout)
}

// server starts the server and returns when it is ready.
func (s *fixture) server() *harness.Process {
	s.t.Helper()
	p := s.startServer()
	s.AwaitReady(p, s.url())
	return p
}

// startServer starts the server without waiting until it is ready.
func (s *fixture) startServer() *harness.Process { return s.process("server", "--data", s.data) }

// shop creates an environment and a project whose step appends a line to the file ran each time it runs.
func (s *fixture) shop() (ran string) {
	s.t.Helper()
	ran = filepath.Join(s.Folder, "ran")
	text := fmt.Sprintf(`
apiVersion: drover.dev/v1
kind: Environment
metadata: {name: production}
---
apiVersion: drover.dev/v1
kind: Project
metadata: {name: shop}
spec:
  steps:
    - name: count
      run: |
        echo "$DROVER_MACHINE $DROVER_DEPLOYMENT" >> %s
        sleep 0.2
---
apiVersion: drover.dev/v1
kind: Trigger
metadata: {name: joins}
spec: {project: shop, events: [MachineAvailable], environments: [production]}
`, ran)
	file := filepath.Join(s.Folder, "shop.yaml")
	require.NoError(s.t, os.WriteFile(file, []byte(text), 0o600))
	s.ok("apply", "-f", file)
	return ran
}

func (s *fixture) agent(name string) *harness.Process {
	s.t.Helper()
	return s.Start(harness.Agent{Name: name, Environment: "production", Servers: []string{s.url()},
		Join: s.ok("token", "create", "--join"),
		Data: filepath.Join(s.Folder, name)}.Spec())
}

// eventually waits until condition is true.
func (s *fixture) eventually(what string, condition func() bool) {
	s.t.Helper()
	require.Eventually(s.t, condition, timeout, 100*time.Millisecond, what)
}

// has reports whether a machine has this release of shop installed.
func (s *fixture) has(machine, release string) bool {
	stdout, _, code := s.run("get", "machine", machine, "-o", "json")
	var m explain.Machine
	if code != 0 || json.Unmarshal([]byte(stdout), &m) != nil {
		return false
	}
	for _, i := range m.Installed {
		if i.Project == "shop" && i.Release == release && !i.Dirty {
			return true
		}
	}
	return false
}

func TestRepeatedlyKilledServerLosesNoEventAndRunsNoPartTwice(t *testing.T) {
	t.Parallel()
	s := newFixture(t)
	server := s.server()
	ran := s.shop()
	s.ok("release", "create", "shop", "1.0")
	s.ok("deploy", "shop", "1.0", "--to", "production", "--wait", "--allow-empty", "--timeout", "60s")
	machines := []string{"web-01", "web-02", "web-03"}
	for _, name := range machines {
		s.agent(name)
	}
	acknowledged := []string{}
	for round := 1; round <= 5; round++ {
		release := fmt.Sprint("1.", round)
		s.ok("release", "create", "shop", release)
		acknowledged = append(acknowledged, s.ok("deploy", "shop", release, "--to", "production"))
		server.Kill()
		server = s.startServer()
	}
	for _, name := range machines {
		s.eventually(name+" has the last release", func() bool { return s.has(name, "1.5") })
	}
	for _, id := range acknowledged {
		s.ok("get", "deployment", id)
	}
	require.Contains(t, s.ok("eventlog", "verify"), "events, head")
	text, err := os.ReadFile(ran)
	require.NoError(t, err)
	seen := map[string]bool{}
	for line := range strings.Lines(string(text)) {
		require.False(t, seen[line], "a part ran twice: %s", line)
		seen[line] = true
	}
}

func TestServerAndAgentShutDownCleanly(t *testing.T) {
	t.Parallel()
	s := newFixture(t)
	server := s.server()
	s.shop()
	agent := s.agent("web-01")
	s.eventually("the agent is online", func() bool { return strings.Contains(s.ok("get", "machines"), "online") })
	require.Zero(t, harnesstest.Stop(server), "exit code")
	server = s.startServer()
	s.ok("get", "machines")
	require.Zero(t, harnesstest.Stop(agent), "exit code")
	s.eventually("the machine is offline at once",
		func() bool { return strings.Contains(s.ok("get", "machines"), "offline") })
	require.Zero(t, harnesstest.Stop(server), "exit code")
}

func TestLostAnswerDoesNotRepeatCommand(t *testing.T) {
	t.Parallel()
	s := newFixture(t)
	s.server()
	s.ok("get", "servers")
	before := strings.Count(s.ok("token", "list", "-o", "name"), "token/")

	// The first answer is lost: the proxy closes the connection after the server has executed the request.
	lost := 0
	broken := http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		passed, err := http.NewRequest(r.Method, s.url()+r.URL.String(), r.Body)
		if err == nil {
			passed.Header = r.Header
			if answer, err := http.DefaultClient.Do(passed); err == nil {
				defer answer.Body.Close()
				proof := r.URL.Path == client.ProofPath
				if !proof {
					lost++
				}
				if proof || lost > 1 {
					w.WriteHeader(answer.StatusCode)
					_, _ = io.Copy(w, answer.Body)
					return
				}
			}
		}
		panic(http.ErrAbortHandler)
	})}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer broken.Close()
	go func() { _ = broken.Serve(l) }()
	s.run("--server", "http://"+l.Addr().String(), "--token", s.contexts().List[0].Token, "token", "create")
	require.Equal(t, 2, lost, "the request was sent again")
	require.Equal(t, before+1, strings.Count(s.ok("token", "list", "-o", "name"), "token/"))
}

// without skips a test because this machine lacks something, or fails it if DROVER_TEST_REQUIRE is "all".
func without(t *testing.T, format string, args ...any) {
	t.Helper()
	if os.Getenv("DROVER_TEST_REQUIRE") == "all" {
		t.Fatalf("missing: "+format, args...)
	}
	t.Skipf("missing: "+format, args...)
}
