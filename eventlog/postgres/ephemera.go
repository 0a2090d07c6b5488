package postgres

import (
	"context"
	"fmt"
	"iter"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

	"github.com/droverhq/drover/eventlog"
)

func uuidOf(id uuid.UUID) pgtype.UUID { return pgtype.UUID{Bytes: id, Valid: true} }

// call runs one of the functions of the schema, each of which returns a number.
func (l *Log) call(ctx context.Context, query string, arguments ...any) (n int, err error) {
	err = l.ask(ctx, func(ctx context.Context) error { return l.readers.QueryRow(ctx, query, arguments...).Scan(&n) })
	return n, err
}

// PutLease replaces the lease of server with value.
func (l *Log) PutLease(ctx context.Context, server uuid.UUID, value []byte) error {
	if err := eventlog.CheckLease(server, value); err != nil {
		return err
	}
	if value == nil {
		value = []byte{}
	}
	if _, err := l.call(ctx, l.queries.putLease, uuidOf(server), value); err != nil {
		return fmt.Errorf("put lease of server %s: %w", server, err)
	}
	return nil
}

// Leases returns the last value of each server.
func (l *Log) Leases(ctx context.Context) (map[uuid.UUID][]byte, error) {
	leases := map[uuid.UUID][]byte{}
	err := l.ask(ctx, func(ctx context.Context) error {
		rows, err := l.readers.Query(ctx, l.queries.leases)
		if err != nil {
			return err
		}
		var server pgtype.UUID
		var value []byte
		_, err = pgx.ForEachRow(rows, []any{&server, &value}, func() error {
			leases[server.Bytes] = value
			return nil
		})
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("read leases: %w", err)
	}
	return leases, nil
}

// DropLease forgets the lease of server.
func (l *Log) DropLease(ctx context.Context, server uuid.UUID) error {
	if _, err := l.call(ctx, l.queries.dropLease, uuidOf(server)); err != nil {
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
	if _, err = l.call(ctx, l.queries.putChunk, uuidOf(deployment), machine, checked.Sequence, checked.Time, checked.Data); err != nil {
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
func (l *Log) chunks(ctx context.Context, deployment uuid.UUID, machine string, after int64, limit int) (chunks []eventlog.Chunk, err error) {
	err = l.ask(ctx, func(ctx context.Context) error {
		rows, err := l.readers.Query(ctx, l.queries.chunks, uuidOf(deployment), machine, after, limit)
		if err == nil {
			chunks, err = pgx.CollectRows(rows, scanChunk)
		}
		return err
	})
	return chunks, err
}

func scanChunk(row pgx.CollectableRow) (chunk eventlog.Chunk, err error) {
	err = row.Scan(&chunk.Sequence, &chunk.Time, &chunk.Data)
	chunk.Time = chunk.Time.UTC()
	return chunk, err
}

// PruneOutput deletes every chunk older than before.
func (l *Log) PruneOutput(ctx context.Context, before time.Time) (int, error) {
	n, err := l.call(ctx, l.queries.prune, before)
	if err != nil {
		return 0, fmt.Errorf("prune output: %w", err)
	}
	return n, nil
}
