package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/droverhq/drover/eventlog"
)

// ephemera is the file beside the log with the lossy collections.
type ephemera struct {
	db *sql.DB
}

// inMemory is the name that SQLite uses for a database without a file.
const inMemory = ":memory:"

func ephemeraOf(ctx context.Context, log string, config Config) (*ephemera, error) {
	if config.EventsOnly {
		return openEphemera(ctx, inMemory)
	}
	return openEphemera(ctx, log+".ephemera")
}

// openEphemera opens the file and creates it if it is missing. The file is not synced, because its content may be
// lost. Space of pruned output is returned to the disk.
func openEphemera(ctx context.Context, path string) (*ephemera, error) {
	if path != inMemory {
		if err := makeFile(path); err != nil {
			return nil, err
		}
	}
	db, err := connect(path, 1, "_txlock=immediate", "_pragma=auto_vacuum(FULL)", "_pragma=synchronous(OFF)")
	if err != nil {
		return nil, err
	}
	err = retryBusy(ctx, func() error {
		_, err := db.ExecContext(ctx, `PRAGMA journal_mode = WAL; BEGIN IMMEDIATE;`+ephemeraSchema+`COMMIT`)
		return err
	})
	if err != nil {
		return nil, errors.Join(fmt.Errorf("open %s (safe to delete): %w", path, explain(err)), db.Close())
	}
	return &ephemera{db: db}, nil
}

func (e *ephemera) close() error { return e.db.Close() }

// exec runs one statement and returns the number of affected rows.
func (e *ephemera) exec(ctx context.Context, query string, arguments ...any) (int, error) {
	result, err := e.db.ExecContext(ctx, query, arguments...)
	if err != nil {
		return 0, err
	}
	n, err := result.RowsAffected()
	return int(n), err
}

func (e *ephemera) putLease(ctx context.Context, lease eventlog.Item) error {
	_, err := e.exec(ctx, sqlPutLease, lease.Key, lease.Data)
	return err
}

func (e *ephemera) leases(ctx context.Context) (map[string]eventlog.Item, error) {
	rows, err := e.db.QueryContext(ctx, sqlLeases)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	leases := map[string]eventlog.Item{}
	for rows.Next() {
		var lease eventlog.Item
		if err := rows.Scan(&lease.Key, &lease.Data); err != nil {
			return nil, err
		}
		leases[lease.Key] = lease
	}
	return leases, rows.Err()
}

func (e *ephemera) dropLease(ctx context.Context, server string) error {
	_, err := e.exec(ctx, sqlDropLease, server)
	return err
}

// addChunk stores one chunk of output. The caller has validated the key.
func (e *ephemera) addChunk(ctx context.Context, chunk eventlog.Item) error {
	deployment, machine, err := eventlog.ParseOutputKey(chunk.Key)
	if err != nil {
		return err
	}
	_, err = e.exec(ctx, sqlPutChunk, deployment.String(), machine, chunk.Sequence, chunk.Time.Format(timeLayout),
		chunk.Data)
	return err
}

// chunks reads one page of output.
func (e *ephemera) chunks(ctx context.Context, key string, after int64, limit int) ([]eventlog.Item, error) {
	deployment, machine, err := eventlog.ParseOutputKey(key)
	if err != nil {
		return nil, err
	}
	rows, err := e.db.QueryContext(ctx, sqlChunks, deployment.String(), machine, after, limit)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var chunks []eventlog.Item
	for rows.Next() {
		chunk, at := eventlog.Item{Key: key}, ""
		if err := rows.Scan(&chunk.Sequence, &at, &chunk.Data); err != nil {
			return nil, err
		}
		if chunk.Time, err = time.Parse(time.RFC3339Nano, at); err != nil {
			return nil, fmt.Errorf("%w: chunk %d: %w", eventlog.ErrDamaged, chunk.Sequence, err)
		}
		chunks = append(chunks, chunk)
	}
	return chunks, rows.Err()
}

func (e *ephemera) prune(ctx context.Context, before time.Time) (int, error) {
	return e.exec(ctx, sqlPrune, before.UTC().Format(timeLayout))
}
