package cli_test

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// TestReadmeQuickStartWorks runs the commands of the README with an empty home. Only the address, the data folder and
// the Go folders differ from a new user's.
func TestReadmeQuickStartWorks(t *testing.T) {
	t.Parallel()
	if _, err := exec.LookPath("make"); err != nil {
		without(t, "make")
	}
	lines := quickStart(t)
	require.LessOrEqual(t, len(lines), 6, "the quick start has at most six lines")

	s := newFixture(t)
	repository, err := filepath.Abs("../..")
	require.NoError(t, err)
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	script := "set -eu\n" + strings.Join(lines, "\n") + "\nkill %1 %2; wait\n"
	shell := exec.CommandContext(ctx, "bash", "-m", "-c", script)
	shell.Dir = repository
	shell.Env = append(s.Env, "DROVER_DATA="+s.data, "GOCACHE="+goEnv(t, "GOCACHE"),
		"GOMODCACHE="+goEnv(t, "GOMODCACHE"), "GOPATH="+goEnv(t, "GOPATH"))
	shell.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	shell.Cancel = func() error { return syscall.Kill(-shell.Process.Pid, syscall.SIGKILL) }
	shell.WaitDelay = 10 * time.Second
	out, err := shell.CombinedOutput()
	require.NoError(t, err, string(out))
	require.Contains(t, string(out), "web-01")
	require.Regexp(t, `actual +1\.0`, string(out))
}

func goEnv(t *testing.T, name string) string {
	t.Helper()
	out, err := exec.Command("go", "env", name).Output()
	require.NoError(t, err)
	return strings.TrimSpace(string(out))
}

// quickStart returns the lines between the two markers in the README.
func quickStart(t *testing.T) []string {
	t.Helper()
	text, err := os.ReadFile("../../README.md")
	require.NoError(t, err)
	_, rest, found := strings.Cut(string(text), "<!-- quick start: ")
	require.True(t, found, "the README has a quick start")
	_, rest, _ = strings.Cut(rest, "```sh\n")
	block, _, found := strings.Cut(rest, "```\n<!-- quick start ends -->")
	require.True(t, found, "the quick start ends")
	return strings.Split(strings.TrimSpace(block), "\n")
}
