package postgres

import (
	"context"
	"fmt"
	"sync"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/droverhq/drover/eventlog"
)

// Log is an eventlog.Backend in one schema of a PostgreSQL database.
type Log struct {
	name    string
	id      uuid.UUID
	config  Config
	queries queries

	writer  *writer
	readers *pgxpool.Pool

	base    context.Context // ends with Close
	end     context.CancelFunc
	closing sync.Once
}

var _ eventlog.Backend = (*Log)(nil)

// ready returns the error that a call gives at once, whatever it asks.
func (l *Log) ready(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if l.base.Err() != nil {
		return eventlog.ErrClosed
	}
	return nil
}

// ask lets run speak to the server once, bounded by ctx, by Timeout and by Close, and
// returns its error in words that callers of the log know.
func (l *Log) ask(ctx context.Context, run func(context.Context) error) error {
	if err := l.ready(ctx); err != nil {
		return err
	}
	asking, cancel := context.WithTimeout(ctx, l.config.Timeout)
	defer cancel()
	defer context.AfterFunc(l.base, cancel)()
	err := run(asking)
	switch {
	case err == nil:
		return nil
	case l.base.Err() != nil:
		return eventlog.ErrClosed
	case ctx.Err() != nil:
		return ctx.Err()
	}
	return explain(err)
}

// Append writes all events or none, see eventlog.Log. It returns once they are durable.
// When the server's answer is lost, it asks again for the same events; when its context
// ends before it knows, the outcome is unknown.
func (l *Log) Append(ctx context.Context, stream string, expected eventlog.Revision, events ...eventlog.Event) (eventlog.Appended, error) {
	prepared, err := eventlog.Check(stream, expected, events)
	if err != nil {
		return eventlog.Appended{}, err
	}
	if err := l.ready(ctx); err != nil {
		return eventlog.Appended{}, fmt.Errorf("append to %s: %w", stream, err)
	}
	appended, err := l.writer.append(ctx, newRequest(stream, expected, prepared))
	if err != nil {
		return eventlog.Appended{}, fmt.Errorf("append to %s: %w", stream, err)
	}
	return appended, nil
}

// Head returns the position of the last event.
func (l *Log) Head(ctx context.Context) (eventlog.Position, error) {
	head, err := l.head(ctx)
	if err != nil {
		return 0, fmt.Errorf("read head: %w", err)
	}
	return head, nil
}

func (l *Log) head(ctx context.Context) (head eventlog.Position, err error) {
	err = l.ask(ctx, func(ctx context.Context) error { return l.readers.QueryRow(ctx, l.queries.head).Scan(&head) })
	return head, err
}

// ID returns the id that the log got when its schema was made.
func (l *Log) ID(ctx context.Context) (uuid.UUID, error) {
	if err := l.ready(ctx); err != nil {
		return uuid.Nil, fmt.Errorf("read id: %w", err)
	}
	return l.id, nil
}

// Close lets the writer finish the batch it works on, refuses what waits behind it, and
// ends all connections. Reads under way end with ErrClosed.
func (l *Log) Close() error {
	l.closing.Do(func() {
		l.end()
		l.writer.close()
		l.readers.Close()
	})
	return nil
}
