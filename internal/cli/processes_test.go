package cli_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/droverhq/drover/explain"
)

// stand is a home of its own with a server in it; agents and commands run as processes.
type stand struct {
	t    *testing.T
	root string
	data string
	port string
	env  []string
}

func newStand(t *testing.T) *stand {
	t.Helper()
	s := &stand{t: t, root: t.TempDir(), port: freePort(t)}
	s.data = filepath.Join(s.root, "data")
	for _, pair := range os.Environ() {
		if !strings.HasPrefix(pair, "DROVER_") && !strings.HasPrefix(pair, "XDG_") && !strings.HasPrefix(pair, "HOME=") {
			s.env = append(s.env, pair)
		}
	}
	s.env = append(s.env, "HOME="+s.root, "DROVER_TICK=1s", "DROVER_LISTEN=127.0.0.1:"+s.port)
	return s
}

func freePort(t *testing.T) string {
	t.Helper()
	port, err := openPort()
	require.NoError(t, err)
	return port
}

func openPort() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	defer l.Close()
	_, port, err := net.SplitHostPort(l.Addr().String())
	return port, err
}

// process starts drover in the background. It is killed at the end of the test; what it wrote to stderr is
// shown if the test failed.
func (s *stand) process(args ...string) *exec.Cmd {
	s.t.Helper()
	cmd := exec.Command(program, args...)
	cmd.Env, cmd.Dir = s.env, s.root
	said := &tail{}
	cmd.Stderr, cmd.Stdout = said, said
	require.NoError(s.t, cmd.Start())
	s.t.Cleanup(func() {
		if cmd.ProcessState == nil {
			_ = cmd.Process.Kill()
			_ = cmd.Wait()
		}
		if s.t.Failed() {
			s.t.Logf("drover %s:\n%s", strings.Join(args, " "), said)
		}
	})
	return cmd
}

// tail keeps the end of what is written.
type tail struct {
	mu   sync.Mutex
	text []byte
}

func (b *tail) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.text = append(b.text, p...)
	b.text = b.text[max(0, len(b.text)-20_000):]
	return len(p), nil
}

func (b *tail) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return string(b.text)
}

// run runs one command to its end.
func (s *stand) run(args ...string) (stdout, stderr string, code int) {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 2*patience)
	defer cancel()
	var out, words bytes.Buffer
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Env, cmd.Dir, cmd.Stdout, cmd.Stderr = s.env, s.root, &out, &words
	_ = cmd.Run()
	return out.String(), words.String(), cmd.ProcessState.ExitCode()
}

// ok runs one command that must succeed.
func (s *stand) ok(args ...string) string {
	s.t.Helper()
	stdout, stderr, code := s.run(args...)
	require.Zero(s.t, code, "drover %s: %s", strings.Join(args, " "), stderr)
	return strings.TrimSpace(stdout)
}

func (s *stand) server() *exec.Cmd { return s.process("server", "--data", s.data) }

// shop is an environment and a project whose step leaves a line for each time that it runs.
func (s *stand) shop() (ran string) {
	s.t.Helper()
	ran = filepath.Join(s.root, "ran")
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
	file := filepath.Join(s.root, "shop.yaml")
	require.NoError(s.t, os.WriteFile(file, []byte(text), 0o600))
	s.ok("apply", "-f", file)
	return ran
}

func (s *stand) agent(name string) *exec.Cmd {
	s.t.Helper()
	join := s.ok("token", "create", "--join")
	return s.process("agent", "--server", "http://127.0.0.1:"+s.port, "--join", join, "--name", name, "--environment", "production",
		"--data", filepath.Join(s.root, name))
}

// eventually waits for what must come.
func (s *stand) eventually(what string, come func() bool) {
	s.t.Helper()
	require.Eventually(s.t, come, patience, 100*time.Millisecond, what)
}

// has says whether the last success of shop on a machine is of this release.
func (s *stand) has(machine, release string) bool {
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

func TestAServerKilledAgainAndAgainForgetsNothingAndRunsNothingTwice(t *testing.T) {
	t.Parallel()
	s := newStand(t)
	server := s.server()
	ran := s.shop()
	s.ok("release", "create", "shop", "1.0")
	s.ok("deploy", "shop", "1.0", "--to", "production", "--wait", "--timeout", "60s")
	machines := []string{"web-01", "web-02", "web-03"}
	for _, name := range machines {
		s.agent(name)
	}
	acknowledged := []string{}
	for round := 1; round <= 5; round++ {
		release := fmt.Sprint("1.", round)
		s.ok("release", "create", "shop", release)
		acknowledged = append(acknowledged, s.ok("deploy", "shop", release, "--to", "production"))
		require.NoError(t, server.Process.Kill())
		_ = server.Wait()
		server = s.server()
	}
	for _, name := range machines {
		s.eventually(name+" has the last release", func() bool { return s.has(name, "1.5") })
	}
	for _, id := range acknowledged {
		s.ok("get", "deployment", id)
	}
	require.Contains(t, s.ok("log", "verify"), "events, head")
	text, err := os.ReadFile(ran)
	require.NoError(t, err)
	seen := map[string]bool{}
	for line := range strings.Lines(string(text)) {
		require.False(t, seen[line], "a part ran twice: %s", line)
		seen[line] = true
	}
}

func TestAServerThatIsAskedToStopEndsInOrder(t *testing.T) {
	t.Parallel()
	s := newStand(t)
	server := s.server()
	s.shop()
	agent := s.agent("web-01")
	s.eventually("the agent is online", func() bool { return strings.Contains(s.ok("get", "machines"), "online") })
	require.NoError(t, server.Process.Signal(syscall.SIGTERM))
	require.NoError(t, server.Wait(), "exit code 0")
	server = s.server()
	s.ok("get", "machines")
	require.NoError(t, agent.Process.Signal(syscall.SIGTERM))
	require.NoError(t, agent.Wait(), "exit code 0")
	s.eventually("the machine is offline at once", func() bool { return strings.Contains(s.ok("get", "machines"), "offline") })
	require.NoError(t, server.Process.Signal(syscall.SIGTERM))
	require.NoError(t, server.Wait())
}

func TestAnAnswerThatWasLostDoesNothingTwice(t *testing.T) {
	t.Parallel()
	s := newStand(t)
	s.server()
	s.ok("get", "servers")
	before := strings.Count(s.ok("token", "list", "-o", "name"), "token/")

	// The first answer is lost on the way: the connection ends after the server has done its work.
	lost := 0
	broken := http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		passed, err := http.NewRequest(r.Method, "http://127.0.0.1:"+s.port+r.URL.String(), r.Body)
		if err == nil {
			passed.Header = r.Header
			if answer, err := http.DefaultClient.Do(passed); err == nil {
				defer answer.Body.Close()
				if lost++; lost > 1 {
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
	s.run("--server", "http://"+l.Addr().String(), "token", "create")
	require.Equal(t, 2, lost, "the wish was sent again")
	require.Equal(t, before+1, strings.Count(s.ok("token", "list", "-o", "name"), "token/"))
}

// without skips a test for what this machine lacks, or fails it where all is required.
func without(t *testing.T, format string, args ...any) {
	t.Helper()
	if os.Getenv("DROVER_TEST_REQUIRE") == "all" {
		t.Fatalf("missing: "+format, args...)
	}
	t.Skipf("missing: "+format, args...)
}
