package cli_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/droverhq/drover/internal/harness/harnesstest"
)

// copyFolder replaces the folder to with a copy of from, including the modes of files.
func (s *fixture) copyFolder(from, to string) {
	s.t.Helper()
	require.NoError(s.t, os.RemoveAll(filepath.Join(s.Folder, to)))
	output, err := exec.Command("cp", "-a", filepath.Join(s.Folder, from), filepath.Join(s.Folder, to)).CombinedOutput()
	require.NoError(s.t, err, string(output))
}

// recorded counts the events of a type in the log.
func (s *fixture) recorded(name string) int {
	s.t.Helper()
	return strings.Count(s.ok("events", "--limit", "0", "-o", "json"), `"type": "`+name+`"`)
}

// release creates a release of shop and deploys it to all machines.
func (s *fixture) release(version string) {
	s.t.Helper()
	s.ok("release", "create", "shop", version)
	s.ok("deploy", "shop", version, "--to", "production", "--wait", "--timeout", "60s")
}

func TestMachineWhoseDiskWasRestoredFromASnapshotIsDeployedToAgain(t *testing.T) {
	t.Parallel()
	s := newFixture(t)
	s.server()
	ran := s.shop()
	s.release("1.0")
	agent := s.agent("web-01")
	s.eventually("web-01 has 1.0", func() bool { return s.has("web-01", "1.0") })
	require.Zero(t, harnesstest.Stop(agent), "exit code")
	s.copyFolder("web-01", "snapshot")
	agent = s.agent("web-01")
	s.eventually("web-01 is online", func() bool { return strings.Contains(s.ok("get", "machine", "web-01"), "online") })
	s.release("1.1")
	require.Zero(t, harnesstest.Stop(agent), "exit code")

	// control: an agent that restarts with its own disk has the release
	agent = s.agent("web-01")
	s.eventually("web-01 is online", func() bool { return strings.Contains(s.ok("get", "machine", "web-01"), "online") })
	s.release("1.2")
	require.Equal(t, 3, lines(t, ran, "web-01"))
	require.Zero(t, s.recorded("MachineLostState"))
	require.Zero(t, harnesstest.Stop(agent), "exit code")

	s.copyFolder("snapshot", "web-01")
	s.agent("web-01")
	s.eventually("web-01 got 1.2 again", func() bool { return lines(t, ran, "web-01") == 4 && s.has("web-01", "1.2") })
	require.Equal(t, 1, s.recorded("MachineLostState"))
	require.Contains(t, s.ok("why", "web-01"), "its agent does not remember that it installed 1.2 of project shop")
}
