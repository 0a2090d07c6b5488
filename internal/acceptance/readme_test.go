package acceptance

import (
	"context"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

var quickStart = regexp.MustCompile("(?s)<!-- quick start: .*? -->\n```sh\n(.*?)```\n<!-- quick start ends -->")

// TestTheQuickStartOfTheReadmeRunsWordForWord runs its lines in a copy of the tree, as a user with an empty home.
func TestTheQuickStartOfTheReadmeRunsWordForWord(t *testing.T) {
	free, err := net.Listen("tcp", "127.0.0.1:7070")
	require.NoError(t, err, "the quick start needs port 7070")
	require.NoError(t, free.Close())

	root, err := filepath.Abs("../..")
	require.NoError(t, err)
	readme, err := os.ReadFile(filepath.Join(root, "README.md"))
	require.NoError(t, err)
	match := quickStart.FindSubmatch(readme)
	require.NotNil(t, match, "the README has no quick start between its two marks")
	lines := strings.Split(strings.TrimSpace(string(match[1])), "\n")
	require.LessOrEqual(t, len(lines), 6)

	folder := t.TempDir()
	checkout := filepath.Join(folder, "drover")
	clone, err := exec.Command("git", "clone", "--quiet", root, checkout).CombinedOutput()
	require.NoError(t, err, string(clone))
	out := runScript(t, checkout, folder, strings.Join(lines, "\n"))
	require.Regexp(t, `web-01.*online`, out)
	require.Regexp(t, `verdict\s+none: up-to-date`, out)
	require.Regexp(t, `wanted\s+1.0`, out)
	require.Regexp(t, `actual\s+1.0`, out)
}

// runScript runs lines as bash does when they are typed one after the other, and kills all that they started.
func runScript(t *testing.T, folder, home, script string) string {
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	cache, err := exec.Command("go", "env", "GOCACHE", "GOMODCACHE").Output()
	require.NoError(t, err)
	caches := strings.Fields(string(cache))
	cmd := exec.CommandContext(ctx, "bash", "-c", "set -e\n"+script)
	cmd.Dir = folder
	cmd.Env = []string{"HOME=" + home, "PATH=" + os.Getenv("PATH"), "GOFLAGS=-buildvcs=false",
		"GOCACHE=" + caches[0], "GOMODCACHE=" + caches[1], "DROVER_DATA=" + filepath.Join(home, "data")}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	output, err := os.Create(filepath.Join(home, "printed"))
	require.NoError(t, err)
	defer output.Close()
	cmd.Stdout, cmd.Stderr = output, output // a file: what runs on in the background must not keep us waiting
	failure := cmd.Run()
	_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGTERM)
	printed, err := os.ReadFile(output.Name())
	require.NoError(t, err)
	require.NoError(t, failure, string(printed))
	return string(printed)
}
