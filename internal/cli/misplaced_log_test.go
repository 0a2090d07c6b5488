package cli_test

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/droverhq/drover/internal/harness/harnesstest"
)

// readyStatus returns the status and the text of /readyz.
func (s *fixture) readyStatus() (int, string) {
	answer, err := http.Get(s.url() + "/readyz")
	require.NoError(s.t, err)
	defer answer.Body.Close()
	return answer.StatusCode, s.readyz()
}

// awaitUnready waits until /readyz returns 503 with a text.
func (s *fixture) awaitUnready(text string) {
	s.t.Helper()
	s.eventually("/readyz reports: "+text, func() bool {
		status, sentences := s.readyStatus()
		return status == http.StatusServiceUnavailable && strings.Contains(sentences, text)
	})
}

func (s *fixture) requireRefused(text string) {
	s.t.Helper()
	_, stderr, code := s.run("release", "create", "shop", "9.9")
	require.Equal(s.t, 1, code, stderr)
	require.Contains(s.t, stderr, text)
}

func TestServerWhoseLogIsDeletedRefusesCommandsAndStillExports(t *testing.T) {
	t.Parallel()
	s := newFixture(t)
	server := s.server()
	s.shop()
	s.ok("release", "create", "shop", "1.0")
	status, _ := s.readyStatus()
	require.Equal(t, http.StatusOK, status, "the log is in its place")

	require.NoError(t, os.Remove(filepath.Join(s.data, "drover.db"))) // nothing is written, so the server has to look
	s.awaitUnready("drover.db was deleted, moved or replaced while this server runs")
	s.requireRefused("drover eventlog export FILE")
	_, stderr, code := s.run("release", "create", "shop", "1.0")
	require.Equal(t, 1, code, "a command that would change nothing is not acknowledged either")
	require.Contains(t, stderr, "drover eventlog export FILE")
	_, stderr, code = s.run("eventlog", "verify")
	require.Equal(t, 1, code, "the events are intact, but the file is gone")
	require.Contains(t, stderr, "drover eventlog export FILE")
	require.NoFileExists(t, filepath.Join(s.data, "drover.db"), "no new file takes its place")
	require.Contains(t, s.ok("get", "releases", "--project", "shop"), "1.0")
	s.ok("eventlog", "export", "saved.jsonl")
	require.Zero(t, harnesstest.Stop(server))

	saved := "sqlite:" + filepath.Join(s.data, "saved.db")
	s.ok("eventlog", "import", "saved.jsonl", "--log", saved)
	require.Contains(t, s.ok("eventlog", "verify", "--log", saved, "--data", s.data), "events, head",
		"the witness confirms that the export has every event")
}

func TestServerWhoseFolderIsMovedContinuesWhenItIsMovedBack(t *testing.T) {
	t.Parallel()
	s := newFixture(t)
	s.server()
	s.shop()
	require.NoError(t, os.Rename(s.data, s.data+".moved"))
	s.awaitUnready("put the file back")
	s.requireRefused("put the file back")
	require.NoError(t, os.Rename(s.data+".moved", s.data))
	s.eventually("the server is ready again", func() bool { return strings.HasPrefix(s.readyz(), "ready") })
	s.ok("release", "create", "shop", "1.0")
	require.Contains(t, s.ok("eventlog", "verify"), "events, head")
}

func TestServerWhoseWriteAheadLogIsDeletedLosesNoAcknowledgedEvent(t *testing.T) {
	t.Parallel()
	s := newFixture(t)
	server := s.server()
	s.shop()
	s.ok("release", "create", "shop", "1.0")
	require.NoError(t, os.Remove(filepath.Join(s.data, "drover.db-wal")))
	s.awaitUnready("drover.db-wal was deleted, moved or replaced while this server runs: stop all servers of this log")
	s.requireRefused("stop all servers of this log")
	server.Kill()
	s.server()
	require.NotContains(t, s.readyz(), "lost events")
	require.Contains(t, s.ok("get", "releases", "--project", "shop"), "1.0")
	require.Contains(t, s.ok("eventlog", "verify"), "events, head")
}

// A newer drover migrates the log of a running server.
func TestRunningServerNoticesANewerFormatOfItsLog(t *testing.T) {
	t.Parallel()
	s := newFixture(t)
	s.server()
	s.shop()
	events := s.ok("eventlog", "verify")
	path := filepath.Join(s.data, "drover.db")
	alterLog(t, path, `PRAGMA user_version = 2`)
	s.awaitUnready("unsupported file format 2")
	s.requireRefused("unsupported file format 2")
	alterLog(t, path, `PRAGMA user_version = 1`) // as if the migration had not happened
	s.eventually("the server is ready again", func() bool { return strings.HasPrefix(s.readyz(), "ready") })
	require.Equal(t, events, s.ok("eventlog", "verify"), "nothing was written in the meantime")
	s.ok("release", "create", "shop", "1.0")
}
