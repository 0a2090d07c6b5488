package sqlite_test

import (
	"context"
	"database/sql"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/droverhq/drover/eventlog"
	"github.com/droverhq/drover/eventlog/sqlite"
)

// alter runs SQL on the file at path, as another program would.
func alter(t *testing.T, path, query string) {
	t.Helper()
	db, err := sql.Open("sqlite", path)
	require.NoError(t, err)
	defer db.Close()
	_, err = db.Exec(query)
	require.NoError(t, err)
}

func TestNewLogIsReadableOnlyByItsOwner(t *testing.T) {
	folder := filepath.Join(t.TempDir(), "var", "drover")
	log := open(t, filepath.Join(folder, "drover.db"))
	defer log.Close()
	require.NoError(t, log.Put(context.Background(), eventlog.Leases, eventlog.Lease(uuid.New(), []byte("x"))))
	for _, made := range []string{folder, filepath.Dir(folder)} {
		info, err := os.Stat(made)
		require.NoError(t, err)
		require.Equal(t, os.FileMode(0o700), info.Mode().Perm(), made)
	}
	files, err := os.ReadDir(folder)
	require.NoError(t, err)
	require.GreaterOrEqual(t, len(files), 4)
	for _, file := range files {
		info, err := file.Info()
		require.NoError(t, err)
		require.Equal(t, os.FileMode(0o600), info.Mode().Perm(), file.Name())
	}
}

func TestPathCanContainAnyCharacter(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a b?c#d%41&e=é", "log;1.db")
	log := open(t, path)
	_, err := log.Append(context.Background(), "a", eventlog.NoStream, sample(1))
	require.NoError(t, err)
	require.NoError(t, log.Close())
	_, err = os.Stat(path)
	require.NoError(t, err)
}

func TestForeignFileIsRefusedAndUnchanged(t *testing.T) {
	for text, prepare := range map[string]func(t *testing.T, path string){
		"not a SQLite file": func(t *testing.T, path string) {
			require.NoError(t, os.WriteFile(path,
				[]byte("a shopping list, a long one: "+fmt.Sprint(make([]int, 1000))), 0o600))
		},
		"a SQLite file of another program": func(t *testing.T, path string) {
			alter(t, path, `CREATE TABLE cats (name TEXT); INSERT INTO cats VALUES ('Minka')`)
		},
		"a SQLite file of another program; use": func(t *testing.T, path string) {
			alter(t, path, `PRAGMA application_id = 77`)
		},
		"unsupported file format 2 (this drover supports formats up to 1); use a newer drover": func(t *testing.T,
			path string) {
			require.NoError(t, open(t, path).Close())
			alter(t, path, `PRAGMA user_version = 2`)
		},
		"invalid file format -1": func(t *testing.T, path string) {
			require.NoError(t, open(t, path).Close())
			alter(t, path, `PRAGMA user_version = -1`)
		},
	} {
		t.Run(text, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "drover.db")
			prepare(t, path)
			before, err := os.ReadFile(path)
			require.NoError(t, err)
			_, err = sqlite.Open(context.Background(), path, sqlite.Config{})
			require.ErrorIs(t, err, eventlog.ErrForeign)
			require.ErrorContains(t, err, text)
			require.ErrorContains(t, err, path)
			after, err := os.ReadFile(path)
			require.NoError(t, err)
			require.Equal(t, before, after)
		})
	}
}

func TestFolderInsteadOfFileIsRefusedWithHint(t *testing.T) {
	folder := t.TempDir()
	_, err := sqlite.Open(context.Background(), folder, sqlite.Config{})
	require.ErrorIs(t, err, eventlog.ErrForeign)
	require.ErrorContains(t, err, "it is a folder; use a file in it, such as "+filepath.Join(folder, "drover.db"))
}

func TestErrorNamesFolderThatCannotBeCreated(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	require.NoError(t, os.WriteFile(file, nil, 0o600))
	_, err := sqlite.Open(context.Background(), filepath.Join(file, "sub", "drover.db"), sqlite.Config{})
	require.ErrorIs(t, err, eventlog.ErrUnavailable)
	require.ErrorContains(t, err, "create folder "+filepath.Join(file, "sub"))
}

func TestEmptyFileBecomesLog(t *testing.T) {
	path := filepath.Join(t.TempDir(), "drover.db")
	require.NoError(t, os.WriteFile(path, nil, 0o600))
	log := open(t, path)
	defer log.Close()
	_, err := log.Append(context.Background(), "a", eventlog.NoStream, sample(1))
	require.NoError(t, err)
}

func TestUnsafeSQLiteVersionIsRefused(t *testing.T) {
	for _, good := range []string{"3.51.3", "3.51.10", "3.54.1", "3.100.0", "4.0.0"} {
		require.NoError(t, sqlite.CheckLibrary(good), good)
	}
	for _, bad := range []string{"3.51.2", "3.51", "3.50.9", "3.7.0", "2.99.99", "new"} {
		err := sqlite.CheckLibrary(bad)
		require.ErrorIs(t, err, eventlog.ErrForeign, bad)
		require.ErrorContains(t, err, bad)
	}
	require.ErrorContains(t, sqlite.CheckLibrary("3.51.2"), "use 3.51.3 or newer")
}

func TestConcurrentOpensOfNewFileCreateOneLog(t *testing.T) {
	path := filepath.Join(t.TempDir(), "drover.db")
	ids := make([]uuid.UUID, 8)
	failures := make([]error, len(ids))
	var opening sync.WaitGroup
	for i := range ids {
		opening.Go(func() {
			log, err := sqlite.Open(context.Background(), path, sqlite.Config{})
			if failures[i] = err; err != nil {
				return
			}
			ids[i], _ = log.ID(context.Background())
			failures[i] = log.Close()
		})
	}
	opening.Wait()
	for i, id := range ids {
		require.NoError(t, failures[i])
		require.Equal(t, ids[0], id)
	}
}

func TestTriggersKeepTheFileAppendOnly(t *testing.T) {
	path := filepath.Join(t.TempDir(), "drover.db")
	log := open(t, path)
	_, err := log.Append(context.Background(), "a", eventlog.NoStream, sample(1), sample(2))
	require.NoError(t, err)
	require.NoError(t, log.Close())
	db, err := sql.Open("sqlite", path)
	require.NoError(t, err)
	defer db.Close()
	for text, query := range map[string]string{
		"never changed": `UPDATE events SET data = '{}' WHERE position = 1`,
		"never deleted": `DELETE FROM events`,
		"never replaced": `INSERT OR REPLACE INTO events SELECT 1, stream, revision, id, type, time, command, causes,
			'{}', checksum FROM events WHERE position = 1`,
	} {
		_, err := db.Exec(query)
		require.ErrorContains(t, err, text)
	}
}
