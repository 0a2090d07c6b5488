package cli_test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/droverhq/drover/internal/harness"
)

func TestHangupEndsNeitherServerNorAgent(t *testing.T) {
	t.Parallel()
	if signal.Ignored(syscall.SIGHUP) {
		t.Skip("this test runs under nohup, so its processes never receive SIGHUP")
	}
	s := newFixture(t)
	server := s.server()
	s.shop()
	agent := s.agent("web-01")
	for _, p := range []*harness.Process{server, agent} {
		s.eventually(p.String()+" is ready", func() bool { return strings.Contains(s.ok("get", "machines"), "online") })
		p.Signal(syscall.SIGHUP)
		s.eventually(p.String()+" has received SIGHUP", func() bool {
			return !p.Running() || strings.Contains(p.Tail(4000), "SIGHUP has no effect")
		})
		require.True(t, p.Running(), "%s ended", p)
	}
}

// The reader of stderr, such as a log driver, ends before the program does.
func TestServerAndAgentSurviveTheReaderOfTheirLog(t *testing.T) {
	t.Parallel()
	s := newFixture(t)
	server := s.withoutReader("server", "--data", s.data)
	s.eventually("the server is ready", func() bool {
		_, _, code := s.run("get", "machines")
		return code == 0
	})
	s.shop()
	agent := s.withoutReader("agent", "--server", s.url(), "--join", s.ok("token", "create", "--join"), "--name", "web-01",
		"--environment", "production", "--data", filepath.Join(s.Folder, "web-01"))
	s.eventually("the machine is online", func() bool { return strings.Contains(s.ok("get", "machines"), "online") })
	s.ok("release", "create", "shop", "1.0")
	s.ok("deploy", "shop", "1.0", "--to", "production", "--wait", "--timeout", "60s")
	for _, c := range []*exec.Cmd{server, agent} {
		require.NoError(t, c.Process.Signal(syscall.SIGTERM))
		require.NoError(t, c.Wait(), "%s was stopped by a signal that it should survive", c.Args[1])
	}
}

// withoutReader starts drover with a stderr whose reader is gone.
func (s *fixture) withoutReader(args ...string) *exec.Cmd {
	s.t.Helper()
	reader, writer, err := os.Pipe()
	require.NoError(s.t, err)
	c := s.Command(context.Background(), args...)
	c.Stderr = writer
	require.NoError(s.t, c.Start())
	s.t.Cleanup(func() { _ = c.Process.Kill() })
	require.NoError(s.t, writer.Close())
	require.NoError(s.t, reader.Close())
	return c
}

func TestAgentReapsOrphansAsProcessOne(t *testing.T) {
	t.Parallel()
	s := newFixture(t)
	s.server()
	s.shop()
	join := s.ok("token", "create", "--join")
	c := s.Command(context.Background(), "agent", "--server", s.url(), "--join", join, "--name", "web-01",
		"--environment", "production", "--data", filepath.Join(s.Folder, "web-01"))
	// a shell in the new namespaces mounts their /proc and becomes the agent
	c.Args = append([]string{"sh", "-c", `mount -t proc proc /proc && exec "$@"`, "sh", c.Path}, c.Args[1:]...)
	c.Path = "/bin/sh"
	c.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWPID | syscall.CLONE_NEWNS, Unshareflags: syscall.CLONE_NEWNS}
	if err := c.Start(); err != nil {
		without(t, "permission to create a pid namespace: %v", err)
	}
	t.Cleanup(func() { _ = c.Process.Kill(); _ = c.Wait() })

	file := filepath.Join(s.Folder, "orphans.yaml")
	require.NoError(t, os.WriteFile(file, []byte(`
apiVersion: drover.dev/v1
kind: Project
metadata: {name: shop}
spec:
  steps: [{name: orphans, run: 'for i in 1 2 3 4 5; do (sleep 0.1 &); done; sleep 0.5'}]
`), 0o600))
	s.ok("apply", "-f", file)
	s.eventually("the machine is online", func() bool { return strings.Contains(s.ok("get", "machines"), "online") })
	s.ok("release", "create", "shop", "1.0")
	s.ok("deploy", "shop", "1.0", "--to", "production", "--wait", "--timeout", "60s")
	s.eventually("no orphan is left as a zombie", func() bool { return len(zombies(t, c.Process.Pid)) == 0 })
}

// zombies returns the children of a process that have exited and are not reaped.
func zombies(t *testing.T, parent int) (found []string) {
	t.Helper()
	stats, err := filepath.Glob("/proc/[0-9]*/stat")
	require.NoError(t, err)
	for _, path := range stats {
		stat, _ := os.ReadFile(path)
		if strings.Contains(string(stat), fmt.Sprintf(") Z %d ", parent)) {
			found = append(found, string(stat))
		}
	}
	return found
}
