package cli_test

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestServerAndAgentsStopWhenDemoIsKilled(t *testing.T) {
	t.Parallel()
	s := startDemo(t, program.Path(t))
	s.until("web-03 is online")
	require.GreaterOrEqual(t, len(s.processes()), 5, "demo, server and three agents")
	require.NoError(t, s.cmd.Process.Kill())
	s.end()
	require.Eventually(t, func() bool { return len(s.processes()) == 0 }, timeout, 50*time.Millisecond,
		"processes that belong to the demo")
}

func TestDemoReportsFullDisk(t *testing.T) {
	t.Parallel()
	small := func(size string) string {
		place := t.TempDir()
		if err := syscall.Mount("tmpfs", place, "tmpfs", 0, "size="+size); err != nil {
			without(t, "permission to mount a small disk: %v", err)
		}
		t.Cleanup(func() { _ = syscall.Unmount(place, syscall.MNT_DETACH) })
		return place
	}
	s := startDemoIn(t, small("2m"), program.Path(t), "--once")
	require.Equal(t, 1, s.end(), "exit code")
	require.Regexp(t, "the demo needs 16 MB in the temporary folder: /.*: no space left on device; set TMPDIR to "+
		"another folder", s.stderr.String())
	s.leftNothing()

	s = startDemoIn(t, small("20m"), program.Path(t), "--once")
	s.until("web-03 is online")
	filler := filepath.Join(s.temporary, "filler")
	fill(t, filler)
	require.Equal(t, 1, s.end(), "exit code")
	require.Regexp(t, "no space left (on device|for the log)", s.stderr.String())
	require.NoError(t, os.Remove(filler))
	s.leftNothing()
}
