package cli_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/droverhq/drover/internal/harness"
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
	s.ok("deploy", "shop", version, "--to", "production", "--wait", "--allow-empty", "--timeout", "60s")
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

// restart stops the servers, runs change while none is running, and starts one without knowledge of the log's past.
func (s *fixture) restart(server *harness.Process, change func()) *harness.Process {
	s.t.Helper()
	require.Zero(s.t, harnesstest.Stop(server), "exit code")
	change()
	for _, pattern := range []string{"snapshot*", "head-*"} {
		known, err := filepath.Glob(filepath.Join(s.data, pattern))
		require.NoError(s.t, err)
		for _, path := range known {
			require.NoError(s.t, os.Remove(path))
		}
	}
	server = s.startServer()
	s.AwaitReady(server, s.url())
	return server
}

// acceptRestore waits until the lost events are detected, and accepts the restore.
func (s *fixture) acceptRestore() {
	s.t.Helper()
	s.eventually("the agent reports the lost events", func() bool {
		return strings.Contains(s.ok("get", "machines", "-o", "json"), `"doubted": true`) ||
			strings.Contains(s.readyz(), "this log has lost events") // a server has signed the id of the log
	})
	s.ok("eventlog", "accept-restore")
}

func (s *fixture) held(machine string) bool {
	return strings.Contains(s.ok("get", "machine", machine, "-o", "json"), `"held": true`)
}

func TestSecondRestoreOfTheSameBackupHoldsTheMachines(t *testing.T) {
	t.Parallel()
	s := newFixture(t)
	server := s.server()
	ran := s.shop()
	s.release("1.0")
	s.agent("web-01")
	s.eventually("web-01 has 1.0", func() bool { return s.has("web-01", "1.0") })
	backup := filepath.Join(s.Folder, "backup.db")
	s.ok("eventlog", "backup", backup)
	s.release("2.0")
	for _, version := range []string{"3.0", ""} {
		server = s.restart(server, func() { s.restore(backup) })
		s.acceptRestore()
		s.eventually("web-01 is held", func() bool { return s.held("web-01") })
		if version != "" { // the machine gets a release that the second restore loses
			s.ok("unhold", "web-01", "--project", "shop")
			s.release(version)
			require.False(t, s.held("web-01"), "control: the log has what the machine installed")
		}
	}
	runs := lines(t, ran, "web-01")
	s.agent("web-02")
	s.eventually("drover decides again", func() bool { return s.has("web-02", "1.0") })
	require.Equal(t, runs, lines(t, ran, "web-01"), "automation left web-01 as it is")
}

// Nothing is deployed between the two restores, so that the second one loses the hold of the first one.
func TestSecondRestoreAlsoHoldsAMachineThatIsStillHeld(t *testing.T) {
	t.Parallel()
	s := newFixture(t)
	server := s.server()
	ran := s.shop()
	s.release("1.0")
	s.agent("web-01")
	s.eventually("web-01 has 1.0", func() bool { return s.has("web-01", "1.0") })
	backup := filepath.Join(s.Folder, "backup.db")
	s.ok("eventlog", "backup", backup)
	s.release("2.0")
	runs := lines(t, ran, "web-01")
	for range 3 {
		server = s.restart(server, func() { s.restore(backup) })
		s.acceptRestore()
		s.eventually("web-01 is held", func() bool { return s.held("web-01") })
	}
	require.Equal(t, runs, lines(t, ran, "web-01"), "automation left web-01 as it is")
}

func TestRestoreUnderAnAgentInAStepHoldsItsMachine(t *testing.T) {
	t.Parallel()
	s := newFixture(t)
	server := s.server()
	blocked := filepath.Join(s.Folder, "blocked")
	s.shop()
	text := "apiVersion: drover.dev/v1\nkind: Project\nmetadata: {name: shop}\nspec: {steps: [{name: wait, " +
		"run: 'while [ -e " + blocked + " ]; do sleep 0.1; done; echo $DROVER_MACHINE $DROVER_DEPLOYMENT >> " +
		filepath.Join(s.Folder, "ran") + "'}]}\n"
	file := filepath.Join(s.Folder, "wait.yaml")
	require.NoError(t, os.WriteFile(file, []byte(text), 0o600))
	s.ok("apply", "-f", file)
	s.release("1.0")
	s.agent("web-01")
	s.agent("web-02")
	for _, name := range []string{"web-01", "web-02"} {
		s.eventually(name+" has 1.0", func() bool { return s.has(name, "1.0") })
	}
	s.ok("release", "create", "shop", "2.0")
	backup := filepath.Join(s.Folder, "backup.db")
	s.ok("eventlog", "backup", backup)
	require.NoError(t, os.WriteFile(blocked, nil, 0o600))
	s.ok("deploy", "shop", "2.0", "--to", "production", "--machine", "web-01", "--yes")
	s.eventually("the step runs", func() bool { return strings.Contains(s.ok("get", "deployments"), "running") })

	s.restart(server, func() { s.restore(backup) })
	require.False(t, s.held("web-01"), "nothing shows yet that the log has lost anything")
	require.NoError(t, os.Remove(blocked))
	s.eventually("web-01 is held", func() bool { return s.held("web-01") })
	require.Contains(t, s.ok("why", "web-01"), "of release 2.0, which the log does not have")
	require.False(t, s.held("web-02"), "control: the log has everything that it ran")
	require.Equal(t, 2, lines(t, filepath.Join(s.Folder, "ran"), "web-01"))
}
