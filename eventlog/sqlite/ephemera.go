package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"iter"
	"time"

	"github.com/google/uuid"

	"github.com/droverhq/drover/eventlog"
)

// ephemera is the file beside the log.
type ephemera struct {
	db *sql.DB
}

// inMemory is SQLite's name for a database without a file.
const inMemory = ":memory:"

func ephemeraOf(ctx context.Context, log string, config Config) (*ephemera, error) {
	if config.EventsOnly {
		return openEphemera(ctx, inMemory)
	}
	return openEphemera(ctx, log+".ephemera")
}

// openEphemera makes the file where it is missing. It has no fsync, because it may be
// lost, and gives the room of pruned output back to the disk.
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
		return nil, errors.Join(fmt.Errorf("%s, which may be deleted: %w", path, explain(err)), db.Close())
	}
	return &ephemera{db: db}, nil
}

func (e *ephemera) close() error { return e.db.Close() }

// exec runs one statement on the file beside the log and returns how many rows it met.
func (l *Log) exec(ctx context.Context, query string, arguments ...any) (int, error) {
	if err := l.ready(ctx); err != nil {
		return 0, err
	}
	result, err := l.ephemera.db.ExecContext(ctx, query, arguments...)
	if err != nil {
		return 0, l.ended(explain(err))
	}
	n, err := result.RowsAffected()
	return int(n), err
}

// PutLease replaces the lease of server with value.
func (l *Log) PutLease(ctx context.Context, server uuid.UUID, value []byte) error {
	if err := eventlog.CheckLease(server, value); err != nil {
		return err
	}
	if value == nil {
		value = []byte{}
	}
	if _, err := l.exec(ctx, sqlPutLease, server.String(), value); err != nil {
		return fmt.Errorf("put lease of server %s: %w", server, err)
	}
	return nil
}

// Leases returns the last value of each server.
func (l *Log) Leases(ctx context.Context) (map[uuid.UUID][]byte, error) {
	if err := l.ready(ctx); err != nil {
		return nil, fmt.Errorf("read leases: %w", err)
	}
	leases, err := l.leases(ctx)
	if err != nil {
		return nil, fmt.Errorf("read leases: %w", l.ended(explain(err)))
	}
	return leases, nil
}

func (l *Log) leases(ctx context.Context) (map[uuid.UUID][]byte, error) {
	rows, err := l.ephemera.db.QueryContext(ctx, sqlLeases)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	leases := map[uuid.UUID][]byte{}
	for rows.Next() {
		var server uuid.UUID
		var value []byte
		if err := rows.Scan(&server, &value); err != nil {
			return nil, err
		}
		leases[server] = value
	}
	return leases, rows.Err()
}

// DropLease forgets the lease of server.
func (l *Log) DropLease(ctx context.Context, server uuid.UUID) error {
	if _, err := l.exec(ctx, sqlDropLease, server.String()); err != nil {
		return fmt.Errorf("drop lease of server %s: %w", server, err)
	}
	return nil
}

// AppendOutput keeps chunk unless its sequence is there already.
func (l *Log) AppendOutput(ctx context.Context, deployment uuid.UUID, machine string, chunk eventlog.Chunk) error {
	checked, err := eventlog.CheckChunk(machine, chunk)
	if err != nil {
		return err
	}
	if checked.Data == nil {
		checked.Data = []byte{}
	}
	_, err = l.exec(ctx, sqlPutChunk, deployment.String(), machine, checked.Sequence, checked.Time.Format(timeLayout), checked.Data)
	if err != nil {
		return fmt.Errorf("append output of %s: %w", machine, err)
	}
	return nil
}

// ReadOutput yields the chunks of one machine above sequence after.
func (l *Log) ReadOutput(ctx context.Context, deployment uuid.UUID, machine string, after int64, limit int) iter.Seq2[eventlog.Chunk, error] {
	return func(yield func(eventlog.Chunk, error) bool) {
		eventlog.ReadChunks(machine, after, limit, func(after int64, limit int) ([]eventlog.Chunk, error) {
			return l.chunks(ctx, deployment, machine, after, limit)
		}, yield)
	}
}

// chunks reads one page of output.
func (l *Log) chunks(ctx context.Context, deployment uuid.UUID, machine string, after int64, limit int) ([]eventlog.Chunk, error) {
	if err := l.ready(ctx); err != nil {
		return nil, err
	}
	rows, err := l.ephemera.db.QueryContext(ctx, sqlChunks, deployment.String(), machine, after, limit)
	if err != nil {
		return nil, l.ended(explain(err))
	}
	defer rows.Close()
	var chunks []eventlog.Chunk
	for rows.Next() {
		var chunk eventlog.Chunk
		var at string
		if err := rows.Scan(&chunk.Sequence, &at, &chunk.Data); err != nil {
			return nil, l.ended(explain(err))
		}
		if chunk.Time, err = time.Parse(time.RFC3339Nano, at); err != nil {
			return nil, fmt.Errorf("%w: chunk %d: %w", eventlog.ErrDamaged, chunk.Sequence, err)
		}
		chunks = append(chunks, chunk)
	}
	return chunks, l.ended(explain(rows.Err()))
}

// PruneOutput deletes every chunk older than before.
func (l *Log) PruneOutput(ctx context.Context, before time.Time) (int, error) {
	n, err := l.exec(ctx, sqlPrune, before.UTC().Format(timeLayout))
	if err != nil {
		return 0, fmt.Errorf("prune output: %w", err)
	}
	return n, nil
}
