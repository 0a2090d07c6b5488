package cli_test

import (
	"bytes"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestServerWithFullDiskRefusesWritesUntilSpaceIsFree(t *testing.T) {
	t.Parallel()
	s := newFixture(t)
	require.NoError(t, os.MkdirAll(s.data, 0o700))
	if err := syscall.Mount("tmpfs", s.data, "tmpfs", 0, "size=1500k"); err != nil {
		without(t, "permission to mount a small disk: %v", err)
	}
	t.Cleanup(func() { _ = syscall.Unmount(s.data, syscall.MNT_DETACH) })
	s.server()
	s.shop()

	filler := filepath.Join(s.data, "filler")
	fill(t, filler)
	s.eventually("a write is refused", func() bool {
		_, stderr, code := s.run("release", "create", "shop", fmt.Sprint("1.", time.Now().UnixNano()), "-o", "json")
		return code == 1 && strings.Contains(stderr, `"kind":"unavailable"`) &&
			strings.Contains(stderr, "no space left")
	})
	s.ok("get", "projects")
	for range 20 { // the report does not change while nothing is written
		require.Contains(t, s.readyz(), "writes are refused until there is free space")
		time.Sleep(200 * time.Millisecond)
	}

	require.NoError(t, os.Remove(filler))
	s.eventually("the server is ready again", func() bool { return strings.HasPrefix(s.readyz(), "ready") })
	s.ok("release", "create", "shop", "2.0")
	require.Contains(t, s.ok("eventlog", "verify"), "events, head")
}

// fill writes a file that fills the disk.
func fill(t *testing.T, path string) {
	t.Helper()
	file, err := os.Create(path)
	require.NoError(t, err)
	defer file.Close()
	for size := 1 << 16; size > 0; {
		if _, err := file.Write(make([]byte, size)); err != nil {
			size /= 4
		}
	}
}

func (s *fixture) readyz() string {
	answer, err := http.Get(s.url() + "/readyz")
	require.NoError(s.t, err)
	defer answer.Body.Close()
	var text bytes.Buffer
	_, err = text.ReadFrom(answer.Body)
	require.NoError(s.t, err)
	return text.String()
}

func TestAgentWithFullDiskReportsItUntilSpaceIsFree(t *testing.T) {
	t.Parallel()
	s := newFixture(t)
	disk := filepath.Join(s.Folder, "web-01") // the agent's data folder
	require.NoError(t, os.MkdirAll(disk, 0o700))
	if err := syscall.Mount("tmpfs", disk, "tmpfs", 0, "size=1m"); err != nil {
		without(t, "permission to mount a small disk: %v", err)
	}
	t.Cleanup(func() { _ = syscall.Unmount(disk, syscall.MNT_DETACH) })
	s.server()
	ran := s.shop()
	s.agent("web-01")
	s.eventually("the agent is connected", func() bool { return strings.Contains(s.ok("get", "machines"), "online") })

	filler := filepath.Join(disk, "filler")
	fill(t, filler)
	s.ok("release", "create", "shop", "1.0")
	s.ok("deploy", "shop", "1.0", "--to", "production")
	const problem = "starts no parts: its agent reports that the disk of its data folder is full (" // + the folder
	s.eventually("doctor reports the full disk", func() bool {
		stdout, _, _ := s.run("doctor")
		return strings.Contains(stdout, "machine web-01 "+problem)
	})
	for _, args := range [][]string{{"why", "web-01", "--project", "shop"}, {"describe", "machine", "web-01"}, {"get", "machines", "-o", "wide"}} {
		require.Contains(t, s.ok(args...), "its agent reports that the disk of its data folder is full ("+disk+": no space left on device), since ", args)
	}
	require.NoFileExists(t, ran)

	require.NoError(t, os.Remove(filler))
	s.eventually("the machine has the release", func() bool { return s.has("web-01", "1.0") })
	stdout, _, _ := s.run("doctor")
	require.Contains(t, stdout, "no agent reports a problem with its machine")
}

func TestFoldersThatOthersCanChangeAreRefused(t *testing.T) {
	t.Parallel()
	s := newFixture(t)
	require.NoError(t, os.MkdirAll(s.data, 0o700))
	require.NoError(t, os.Chmod(s.data, 0o777))
	_, stderr, code := s.run("server", "--data", s.data)
	require.Equal(t, 1, code)
	require.Contains(t, stderr, "every user of this machine can change "+s.data+" (mode 0777); run: chmod o-w "+s.data)
	require.NoError(t, os.Chmod(s.data, 0o700))
	s.server()

	data := filepath.Join(s.Folder, "web-01")
	require.NoError(t, os.MkdirAll(data, 0o700))
	require.NoError(t, os.Symlink(t.TempDir(), filepath.Join(data, "parts")))
	_, stderr, code = s.run("agent", "--name", "web-01", "--data", data, "--join", strings.TrimSpace(s.ok("token", "create", "--join")))
	require.NotEqual(t, 0, code)
	require.Contains(t, stderr, filepath.Join(data, "parts")+" is a link, and drover follows no links among its own files")
}
