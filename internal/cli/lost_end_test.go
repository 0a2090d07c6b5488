package cli_test

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/droverhq/drover/internal/harness/harnesstest"
)

// walDamage are ways in which the write-ahead log of an SQLite log loses acknowledged events. SQLite ignores each of
// them silently: it reads the write-ahead log up to the first invalid frame.
var walDamage = map[string]func(t *testing.T, wal string){
	"a flipped byte": func(t *testing.T, wal string) {
		content, err := os.ReadFile(wal)
		require.NoError(t, err)
		content[len(content)/2] ^= 0x10
		require.NoError(t, os.WriteFile(wal, content, 0o600))
	},
	"a cut": func(t *testing.T, wal string) {
		info, err := os.Stat(wal)
		require.NoError(t, err)
		require.NoError(t, os.Truncate(wal, info.Size()*2/3))
	},
	"a deleted file": func(t *testing.T, wal string) { require.NoError(t, os.Remove(wal)) },
}

// logURL is the URL of the log of a server that is not running.
func (s *fixture) logURL() string { return "sqlite:" + filepath.Join(s.data, "drover.db") }

func TestDamagedEndOfTheLogIsDetectedByVerifyAndAtTheNextStart(t *testing.T) {
	t.Parallel()
	for name, damage := range walDamage {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newFixture(t)
			server := s.server()
			s.shop()
			require.Zero(t, harnesstest.Stop(server)) // moves the write-ahead log, with the token, into the file
			server = s.server()
			for n := range 20 {
				s.ok("release", "create", "shop", fmt.Sprint("1.", n))
			}
			server.Kill()
			whole := s.copyOf(t)
			require.Contains(t, whole.ok("eventlog", "verify", "--log", whole.logURL()), "events, head",
				"the log is intact after kill -9")

			damage(t, filepath.Join(s.data, "drover.db-wal"))
			without := s.copyOf(t)
			heads, err := filepath.Glob(filepath.Join(without.data, "head-*"))
			require.NoError(t, err)
			require.Len(t, heads, 1)
			stdout, stderr, code := without.run("eventlog", "verify", "--log", without.logURL())
			require.Equal(t, 1, code, "%s%s", stdout, stderr)
			require.Contains(t, stderr, "this log has lost events: an earlier run of a server has read event")

			without = s.copyOf(t)
			stdout, _, code = without.run("doctor", "--log", without.logURL(), "--data", without.data)
			require.Equal(t, 1, code)
			require.Contains(t, stdout, "this log has lost events: an earlier run of a server has read event")

			// the negative control: without the witness, the damage is invisible
			without = s.copyOf(t)
			require.NoError(t, os.Remove(filepath.Join(without.data, filepath.Base(heads[0]))))
			without.ok("eventlog", "verify", "--log", without.logURL())
			stdout, _, _ = without.run("doctor", "--log", without.logURL(), "--data", without.data)
			require.NotContains(t, stdout, "lost events")

			server = s.server()
			require.Contains(t, s.readyz(), "this log has lost events: an earlier run of a server has read event")
			_, stderr, code = s.run("release", "create", "shop", "2.0")
			require.NotZero(t, code)
			require.Contains(t, stderr, "this log has lost events")
			_, stderr, code = s.run("eventlog", "verify")
			require.Equal(t, 1, code)
			require.Contains(t, stderr, "this log has lost events")

			s.ok("eventlog", "accept-restore")
			s.ok("release", "create", "shop", "2.0")
			server.Kill()
			s.server()
			require.NotContains(t, s.readyz(), "lost events", "the accepted loss is not reported again")
			require.Contains(t, s.ok("eventlog", "verify"), "events, head")
		})
	}
}

// copyOf copies the data folder of a stopped server into another fixture. A command that opens a log with a damaged
// write-ahead log removes the damage.
func (s *fixture) copyOf(t *testing.T) *fixture {
	t.Helper()
	other := newFixture(t)
	require.NoError(t, os.MkdirAll(other.data, 0o700))
	files, err := os.ReadDir(s.data)
	require.NoError(t, err)
	for _, file := range files {
		if !file.Type().IsRegular() { // the socket of the server
			continue
		}
		content, err := os.ReadFile(filepath.Join(s.data, file.Name()))
		require.NoError(t, err)
		require.NoError(t, os.WriteFile(filepath.Join(other.data, file.Name()), content, 0o600))
	}
	return other
}

// A log file that is deleted while no server runs is replaced by a new, empty log.
func TestNewLogInPlaceOfADeletedOneIsReported(t *testing.T) {
	t.Parallel()
	s := newFixture(t)
	server := s.server()
	s.shop()
	before, _, _ := s.run("doctor", "--data", s.data)
	require.NotContains(t, before, "was the first one deleted?")
	require.Zero(t, harnesstest.Stop(server))
	require.NoError(t, os.Remove(filepath.Join(s.data, "drover.db")))
	server = s.server()
	require.Contains(t, s.Logs(1<<20), "this data folder belongs to another log")
	stdout, _, _ := s.run("doctor", "--data", s.data)
	require.Contains(t, stdout, "was the first one deleted?")
	require.Zero(t, harnesstest.Stop(server))
}

func TestBackupBesideTheLogIsNotReportedAsDamaged(t *testing.T) {
	t.Parallel()
	s := newFixture(t)
	s.server()
	s.shop()
	backup := filepath.Join(s.data, "backup.db")
	s.ok("eventlog", "backup", backup)
	s.ok("release", "create", "shop", "1.0")
	require.Contains(t, s.ok("eventlog", "verify", "--log", "sqlite:"+backup), "events, head")
	_, stderr, code := s.run("eventlog", "verify", "--log", "sqlite:"+backup, "--data", s.data)
	require.Equal(t, 1, code)
	require.Contains(t, stderr, "this log has lost events")
	_, stderr, code = s.run("eventlog", "verify", "--log", "sqlite:"+backup, "--data", s.Folder)
	require.Equal(t, 1, code)
	require.Contains(t, stderr, "has no head witness of log")
	_, stderr, code = s.run("eventlog", "verify", "--data", s.data)
	require.Equal(t, 2, code)
	require.Contains(t, stderr, "--data needs --log")
}

func TestAcknowledgedCommandIsInTheWitnessAfterKill(t *testing.T) {
	t.Parallel()
	s := newFixture(t)
	server := s.server()
	s.shop()
	for n := range 5 {
		s.ok("release", "create", "shop", fmt.Sprint("1.", n))
		server.Kill()
		c := s.copyOf(t)
		head := c.ok("eventlog", "verify", "--log", c.logURL())
		heads, err := filepath.Glob(filepath.Join(s.data, "head-*"))
		require.NoError(t, err)
		require.Len(t, heads, 1)
		text, err := os.ReadFile(heads[0])
		require.NoError(t, err)
		var events, position int
		_, err = fmt.Sscanf(head, "%d events, head #%d", &events, &position)
		require.NoError(t, err)
		require.Contains(t, string(text), fmt.Sprintf(`"position":"%d"`, position))
		server = s.server()
	}
	require.Zero(t, harnesstest.Stop(server))
}
