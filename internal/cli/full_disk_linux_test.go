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
