package sqlite_test

import (
	"bytes"
	"context"
	"database/sql"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/droverhq/drover/eventlog"
	"github.com/droverhq/drover/eventlog/sqlite"
)

func person(key, data string) eventlog.Item {
	return eventlog.Item{Key: key, Sequence: 1, Time: sample(1).Time, Data: []byte(data)}
}

func putPerson(t *testing.T, log *sqlite.Log, key, data string) {
	t.Helper()
	require.NoError(t, log.Put(context.Background(), eventlog.People, person(key, data)))
}

func people(t *testing.T, log *sqlite.Log) map[string]eventlog.Item {
	t.Helper()
	found, err := log.Newest(context.Background(), eventlog.People)
	require.NoError(t, err)
	return found
}

// contains reports whether a file of the log contains text. Another process reads the files, because closing them in
// this process would release the locks of SQLite.
func contains(t *testing.T, path, text string) bool {
	t.Helper()
	content, err := exec.Command("cat", path, path+"-wal").Output()
	require.NoError(t, err)
	return bytes.Contains(content, []byte(text))
}

func TestOpenAddsItemsTableToOlderLog(t *testing.T) {
	path := filepath.Join(t.TempDir(), "drover.db")
	content, err := os.ReadFile("../../testdata/logs/sqlite-1/drover.db")
	require.NoError(t, err)
	require.NotContains(t, string(content), "CREATE TABLE items")
	require.NoError(t, os.WriteFile(path, content, 0o600))
	var opening sync.WaitGroup
	for range 4 {
		opening.Go(func() {
			log, err := sqlite.Open(context.Background(), path, sqlite.Config{})
			if err == nil {
				err = log.Close()
			}
			if err != nil {
				t.Error(err)
			}
		})
	}
	opening.Wait()
	log := open(t, path)
	defer log.Close()
	putPerson(t, log, "p-1", "Ada")
	require.Equal(t, map[string]eventlog.Item{"p-1": person("p-1", "Ada")}, people(t, log))
	_, err = eventlog.Verify(context.Background(), log, nil)
	require.NoError(t, err)
}

func TestLeasesAndOutputKeepLayoutOfPreviousVersion(t *testing.T) {
	ctx := context.Background()
	path := filepath.Join(t.TempDir(), "drover.db")
	log := open(t, path)
	defer log.Close()
	server, deployment := uuid.New(), uuid.New()
	require.NoError(t, log.Put(ctx, eventlog.Leases, eventlog.Lease(server, []byte("new"))))
	chunk := eventlog.Item{Key: eventlog.OutputKey(deployment, "a/b"), Sequence: 1, Time: sample(1).Time,
		Data: []byte("line")}
	require.NoError(t, log.Add(ctx, eventlog.Output, chunk))
	old, err := sql.Open("sqlite", path+".ephemera")
	require.NoError(t, err)
	defer old.Close()
	var value, at, data string
	require.NoError(t, old.QueryRow(`SELECT value FROM leases WHERE server = ?`, server.String()).Scan(&value))
	require.Equal(t, "new", value)
	require.NoError(t, old.QueryRow(`SELECT time, data FROM output WHERE deployment = ?
		AND machine = 'a/b' AND sequence = 1`,
		deployment.String()).Scan(&at, &data))
	require.Equal(t, "line", data)

	before := uuid.New()
	_, err = old.Exec(`INSERT INTO leases (server, value) VALUES (?, x'6f6c64')`, before.String())
	require.NoError(t, err)
	_, err = old.Exec(`INSERT INTO output VALUES (?, 'a/b', 2, ?, x'6f6c64')`, deployment.String(), at)
	require.NoError(t, err)
	leases, err := eventlog.ReadLeases(ctx, log)
	require.NoError(t, err)
	require.Equal(t, map[uuid.UUID][]byte{server: []byte("new"), before: []byte("old")}, leases)
	var all []eventlog.Item
	for item, err := range log.Items(ctx, eventlog.Output, chunk.Key, 0, 0) {
		require.NoError(t, err)
		all = append(all, item)
	}
	second := chunk
	second.Sequence, second.Data = 2, []byte("old")
	require.Equal(t, []eventlog.Item{chunk, second}, all)
}

func TestDroppedItemIsErasedFromFiles(t *testing.T) {
	path := filepath.Join(t.TempDir(), "drover.db")
	log, other := open(t, path), open(t, path)
	defer log.Close()
	defer other.Close()
	putPerson(t, log, "p-1", "Ada Lovelace "+strings.Repeat("x", 4000)+" Countess")
	for i := range 50 {
		putPerson(t, log, "q-"+string(rune('0'+i)), "another person")
	}
	putPerson(t, other, "p-2", "Ada Byron")
	require.True(t, contains(t, path, "Ada Lovelace"))
	require.NoError(t, other.Drop(context.Background(), eventlog.People, "p-1"))
	require.NoError(t, log.Drop(context.Background(), eventlog.People, "p-2"))
	for _, text := range []string{"Ada", "Countess"} {
		require.Eventually(t, func() bool { return !contains(t, path, text) }, 20*time.Second, 50*time.Millisecond,
			text)
	}
	require.Len(t, people(t, log), 50)
	require.NoError(t, log.CopyTo(context.Background(), path+".copy"))
	copied := open(t, path+".copy")
	defer copied.Close()
	require.Equal(t, people(t, log), people(t, copied), "the copy has the items")
}

// TestReaderDelaysErasureButNotAppends holds a read transaction, as a backup does. The write-ahead log cannot be
// emptied before that transaction ends.
func TestReaderDelaysErasureButNotAppends(t *testing.T) {
	ctx := context.Background()
	path := filepath.Join(t.TempDir(), "drover.db")
	log := open(t, path)
	defer log.Close()
	putPerson(t, log, "p-1", "Ada")
	reader, err := sql.Open("sqlite", path)
	require.NoError(t, err)
	defer reader.Close()
	tx, err := reader.Begin()
	require.NoError(t, err)
	var n int
	require.NoError(t, tx.QueryRow(`SELECT count(*) FROM items`).Scan(&n))
	require.NoError(t, log.Drop(ctx, eventlog.People, "p-1"))
	started := time.Now()
	for i := range 100 {
		_, err := log.Append(ctx, "a", eventlog.Revision(i-1), sample(uint64(i)))
		require.NoError(t, err)
	}
	require.Less(t, time.Since(started), 4*time.Second, "appends waited for the reader")
	require.True(t, contains(t, path, "Ada"))
	require.NoError(t, tx.Rollback())
	require.Eventually(t, func() bool { return !contains(t, path, "Ada") }, 20*time.Second, 50*time.Millisecond)
}
