package sqlite_test

import (
	"context"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/droverhq/drover/eventlog"
	"github.com/droverhq/drover/eventlog/sqlite"
)

// startWriters starts n goroutines that append to one stream each until stop is called. acknowledged counts their
// events.
func startWriters(t *testing.T, log *sqlite.Log, n int) (acknowledged *atomic.Int64, stop func()) {
	acknowledged = &atomic.Int64{}
	ctx, cancel := context.WithCancel(context.Background())
	var all sync.WaitGroup
	for w := range n {
		all.Go(func() {
			stream := "machine/writer-" + string(rune('a'+w))
			for revision := eventlog.Revision(0); ctx.Err() == nil; revision++ {
				if _, err := log.Append(context.Background(), stream, revision-1,
					sample(uint64(w)<<32|uint64(revision))); err != nil {
					t.Errorf("append: %v", err)
					return
				}
				acknowledged.Add(1)
			}
		})
	}
	return acknowledged, func() { cancel(); all.Wait() }
}

func sums(t *testing.T, log eventlog.Log) (all []string) {
	for event, err := range log.ReadAll(context.Background(), 0, 0) {
		require.NoError(t, err)
		all = append(all, eventlog.Checksum(event.Stream, event.Revision, event.Event))
	}
	return all
}

func TestCopyDuringAppendsHasAllAcknowledgedEvents(t *testing.T) {
	log := open(t, filepath.Join(t.TempDir(), "drover.db"))
	defer log.Close()
	acknowledged, stop := startWriters(t, log, 8)
	defer stop()
	var copies []string
	var before []int64
	for n := range 5 {
		for least := int64(n+1) * 100; acknowledged.Load() < least; {
			_, err := log.Head(context.Background())
			require.NoError(t, err)
		}
		path := filepath.Join(t.TempDir(), "copy.db")
		before = append(before, acknowledged.Load())
		require.NoError(t, log.CopyTo(context.Background(), path))
		copies = append(copies, path)
	}
	stop()
	whole := sums(t, log)
	id, err := log.ID(context.Background())
	require.NoError(t, err)
	for n, path := range copies {
		info, err := os.Stat(path)
		require.NoError(t, err)
		require.Equal(t, os.FileMode(0o600), info.Mode().Perm())
		copied := open(t, path)
		found, err := eventlog.Verify(context.Background(), copied, nil)
		require.NoError(t, err)
		require.GreaterOrEqual(t, int64(found.Events), before[n])
		require.Equal(t, whole[:found.Events], sums(t, copied), "the copy is a prefix of the log")
		same, err := copied.ID(context.Background())
		require.NoError(t, err)
		require.Equal(t, id, same)
		_, err = copied.Append(context.Background(), "machine/later", eventlog.NoStream, sample(1<<60))
		require.NoError(t, err, "the copy accepts appends")
		require.NoError(t, copied.Close())
	}
}

func TestFailedCopyReplacesAndLeavesNoFile(t *testing.T) {
	log := open(t, filled(t))
	defer log.Close()
	folder := t.TempDir()
	existing := filepath.Join(folder, "existing")
	require.NoError(t, os.WriteFile(existing, []byte("mine"), 0o600))
	require.ErrorIs(t, log.CopyTo(context.Background(), existing), os.ErrExist)
	text, err := os.ReadFile(existing)
	require.NoError(t, err)
	require.Equal(t, "mine", string(text))

	ended, cancel := context.WithCancel(context.Background())
	cancel()
	require.ErrorIs(t, log.CopyTo(ended, filepath.Join(folder, "ended")), context.Canceled)
	sqlite.SetFree(t, 10<<20)
	err = log.CopyTo(context.Background(), filepath.Join(folder, "full"))
	require.ErrorIs(t, err, eventlog.ErrFull)
	require.ErrorContains(t, err, "needs 65 MiB of free space")
	left, err := os.ReadDir(folder)
	require.NoError(t, err)
	require.Len(t, left, 1)
}

func TestDamagedFileIsNotCopied(t *testing.T) {
	path := filled(t)
	content, err := os.ReadFile(path)
	require.NoError(t, err)
	for at := 4096; at < len(content); at += 4096 { // the header of each page except the first
		content[at] = 0xff
	}
	require.NoError(t, os.WriteFile(path, content, 0o600))
	log, err := sqlite.Open(context.Background(), path, sqlite.Config{})
	if err == nil {
		defer log.Close()
		err = log.CopyTo(context.Background(), filepath.Join(t.TempDir(), "copy.db"))
	}
	require.ErrorIs(t, err, eventlog.ErrDamaged)
}

func TestClosedLogIsNotCopied(t *testing.T) {
	log := open(t, filled(t))
	require.NoError(t, log.Close())
	require.ErrorIs(t, log.CopyTo(context.Background(), filepath.Join(t.TempDir(), "copy.db")), eventlog.ErrClosed)
}
