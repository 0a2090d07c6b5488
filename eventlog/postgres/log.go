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
	exposed string

	writer  *writer
	readers *pgxpool.Pool

	base    context.Context // cancelled by Close
	end     context.CancelFunc
	closing sync.Once
}

var _ eventlog.Backend = (*Log)(nil)

// Exposed returns why others can read or change the traffic to the server, or nothing if they cannot. Only
// Config.Insecure permits a server for which it returns a reason.
func (l *Log) Exposed() string { return l.exposed }

// ready returns an error if ctx has ended or the log is closed.
func (l *Log) ready(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if l.base.Err() != nil {
		return eventlog.ErrClosed
	}
	return nil
}

// do calls run for one round trip, limited by ctx, by Config.Timeout and by Close, and converts its error.
func (l *Log) do(ctx context.Context, run func(context.Context) error) error {
	if err := l.ready(ctx); err != nil {
		return err
	}
	limited, cancel := context.WithTimeout(ctx, l.config.Timeout)
	defer cancel()
	defer context.AfterFunc(l.base, cancel)()
	err := run(limited)
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

// Append implements eventlog.Log. It returns when the events are durable. If the server's answer is lost, it sends the
// same events again. If ctx is done before the result is known, the outcome is unknown.
func (l *Log) Append(ctx context.Context, stream string, expected eventlog.Revision,
	events ...eventlog.Event) (eventlog.Appended, error) {
	prepared, err := eventlog.CheckAppend(stream, expected, events)
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
	err = l.do(ctx, func(ctx context.Context) error { return l.readers.QueryRow(ctx, l.queries.head).Scan(&head) })
	return head, err
}

// ID returns the id that the log received when its schema was created.
func (l *Log) ID(ctx context.Context) (uuid.UUID, error) {
	if err := l.ready(ctx); err != nil {
		return uuid.Nil, fmt.Errorf("read id: %w", err)
	}
	return l.id, nil
}

// Close waits until the writer has finished its current batch, refuses the waiting appends, and closes all
// connections. Reads in progress end with ErrClosed.
func (l *Log) Close() error {
	l.closing.Do(func() {
		l.end()
		l.writer.close()
		l.readers.Close()
	})
	return nil
}
