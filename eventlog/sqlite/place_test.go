package sqlite_test

import (
	"errors"
	"iter"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/droverhq/drover/eventlog"
	"github.com/droverhq/drover/eventlog/sqlite"
)

// inUse returns an open log with ten events in its own folder, and its path.
func inUse(t *testing.T) (*sqlite.Log, string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "log", "drover.db")
	log := open(t, path)
	t.Cleanup(func() { _ = log.Close() })
	for n := range 10 {
		_, err := log.Append(t.Context(), "machine/a", eventlog.Revision(n-1), sample(uint64(n)))
		require.NoError(t, err)
	}
	require.NoError(t, log.Check(t.Context()))
	return log, path
}

// count returns the number of events that can be read.
func count(t *testing.T, log eventlog.Log) (n int) {
	t.Helper()
	for _, err := range log.ReadAll(t.Context(), 0, 0) {
		require.NoError(t, err)
		n++
	}
	return n
}

func TestLogWhoseFileIsNotInItsPlaceRefusesAppendsAndCanBeExported(t *testing.T) {
	for name, c := range map[string]struct {
		remove  func(t *testing.T, path string)
		putBack func(t *testing.T, path string)
	}{
		"deleted": {remove: func(t *testing.T, path string) { require.NoError(t, os.Remove(path)) }},
		"deleted with all its files": {remove: func(t *testing.T, path string) {
			require.NoError(t, os.RemoveAll(filepath.Dir(path)))
		}},
		"replaced": {remove: func(t *testing.T, path string) {
			require.NoError(t, os.WriteFile(path+".new", nil, 0o600))
			require.NoError(t, os.Rename(path+".new", path))
		}},
		"moved": {
			remove:  func(t *testing.T, path string) { require.NoError(t, os.Rename(path, path+".moved")) },
			putBack: func(t *testing.T, path string) { require.NoError(t, os.Rename(path+".moved", path)) },
		},
		"in a folder that was moved": {
			remove: func(t *testing.T, path string) {
				require.NoError(t, os.Rename(filepath.Dir(path), filepath.Dir(path)+".moved"))
			},
			putBack: func(t *testing.T, path string) {
				require.NoError(t, os.Rename(filepath.Dir(path)+".moved", filepath.Dir(path)))
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			log, path := inUse(t)
			c.remove(t, path)
			for range 2 {
				require.ErrorContains(t, log.Check(t.Context()), "was deleted, moved or replaced")
				_, err := log.Append(t.Context(), "machine/a", 9, sample(10))
				require.ErrorIs(t, err, eventlog.ErrUnavailable)
				require.NotErrorIs(t, err, eventlog.ErrUnknownOutcome)
				require.ErrorContains(t, err, "drover eventlog export FILE")
				require.NotContains(t, err.Error(), "\n")
			}
			require.Equal(t, 10, count(t, log), "the events can still be saved")
			require.ErrorIs(t, log.CopyTo(t.Context(), filepath.Join(t.TempDir(), "copy.db")), eventlog.ErrUnavailable)
			if c.putBack == nil {
				return
			}
			c.putBack(t, path)
			require.NoError(t, log.Check(t.Context()))
			_, err := log.Append(t.Context(), "machine/a", 9, sample(10))
			require.NoError(t, err)
			require.NoError(t, log.Close())
			require.Equal(t, 11, count(t, open(t, path)))
		})
	}
}

func TestReadNeverUsesAnotherLogAtTheSamePath(t *testing.T) {
	log, path := inUse(t)
	sqlite.HoldReaders(t, log)
	other, elsewhere := inUse(t)
	require.NoError(t, other.Close())
	require.NoError(t, os.Rename(elsewhere, path))
	err := errorOf(log.ReadAll(t.Context(), 0, 0))
	require.ErrorIs(t, err, eventlog.ErrUnavailable)
	require.ErrorContains(t, err, "was deleted, moved or replaced")
}

// TestAppendIsNotAcknowledgedIfItsFileWasJustDeleted deletes the file so shortly after an append that the next append is
// written without another check.
func TestAppendIsNotAcknowledgedIfItsFileWasJustDeleted(t *testing.T) {
	for _, suffix := range []string{"", "-wal"} {
		t.Run("NAME"+suffix, func(t *testing.T) {
			log, path := inUse(t)
			_, err := log.Append(t.Context(), "machine/a", 9, sample(10))
			require.NoError(t, err)
			require.NoError(t, os.Remove(path+suffix))
			_, err = log.Append(t.Context(), "machine/a", 10, sample(11))
			require.ErrorIs(t, err, eventlog.ErrUnavailable)
			_, err = log.Append(t.Context(), "machine/a", 10, sample(11))
			require.ErrorContains(t, err, filepath.Base(path)+suffix+" was deleted")
			require.NotErrorIs(t, err, eventlog.ErrUnknownOutcome)
		})
	}
}

func TestEventsOfADeletedWriteAheadLogAreSavedInTheFile(t *testing.T) {
	for _, suffix := range []string{"-wal", "-shm"} {
		t.Run("NAME"+suffix, func(t *testing.T) {
			log, path := inUse(t)
			require.NoError(t, os.Remove(path+suffix))
			require.ErrorContains(t, log.Check(t.Context()), "stop all servers")
			require.NotContains(t, log.Check(t.Context()).Error(), "could not be moved")

			// A process that is killed now leaves only the files.
			left := filepath.Join(t.TempDir(), "left.db")
			content, err := os.ReadFile(path)
			require.NoError(t, err)
			require.NoError(t, os.WriteFile(left, content, 0o600))
			require.Equal(t, 10, count(t, open(t, left)))

			require.NoError(t, log.Close())
			again := open(t, path)
			require.Equal(t, 10, count(t, again))
			_, err = again.Append(t.Context(), "machine/a", 9, sample(10))
			require.NoError(t, err)
		})
	}
}

// TestClosingDoesNotDeleteTheWriteAheadLogOfAnotherLog replaces a log that is in use by another one that is in use too.
func TestClosingDoesNotDeleteTheWriteAheadLogOfAnotherLog(t *testing.T) {
	log, path := inUse(t)
	for _, suffix := range []string{"", "-wal", "-shm"} {
		require.NoError(t, os.Remove(path+suffix))
	}
	other := open(t, path)
	_, err := other.Append(t.Context(), "machine/b", eventlog.NoStream, sample(1))
	require.NoError(t, err)
	require.NoError(t, log.Close())
	require.FileExists(t, path+"-wal")
	require.NoError(t, other.Check(t.Context()))
	_, err = other.Append(t.Context(), "machine/b", 0, sample(2))
	require.NoError(t, err)
}

// errorOf returns the errors of a read.
func errorOf(read iter.Seq2[eventlog.Recorded, error]) (failed error) {
	for _, err := range read {
		failed = errors.Join(failed, err)
	}
	return failed
}

// A newer drover migrates the file while this log is open.
func TestOpenLogThatANewerVersionMigratesStopsReadingAndWriting(t *testing.T) {
	log, path := inUse(t)
	alter(t, path, `PRAGMA user_version = 2`)
	_, err := log.Append(t.Context(), "machine/a", 9, sample(10))
	require.ErrorIs(t, err, eventlog.ErrForeign)
	require.ErrorContains(t, err, "unsupported file format 2")
	require.NotErrorIs(t, err, eventlog.ErrUnknownOutcome)
	for _, after := range []eventlog.Position{0, 10} { // an idle server notices too
		require.ErrorIs(t, errorOf(log.ReadAll(t.Context(), after, 0)), eventlog.ErrForeign, "after %s", after)
	}
	alter(t, path, `PRAGMA user_version = 1`)
	require.Equal(t, 10, count(t, log), "nothing was written")
	_, err = log.Append(t.Context(), "machine/a", 9, sample(10))
	require.NoError(t, err)
}
