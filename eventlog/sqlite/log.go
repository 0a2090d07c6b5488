package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/google/uuid"

	"github.com/droverhq/drover/eventlog"
)

// Log is an eventlog.Backend in one SQLite file.
type Log struct {
	path   string
	id     uuid.UUID
	config Config

	writer   *writer
	readers  *sql.DB // each connection is a *reader
	ephemera *ephemera

	closed  atomic.Bool
	done    chan struct{} // closed by Close
	closing sync.Once
}

var (
	_ eventlog.Backend = (*Log)(nil)
	_ eventlog.Checker = (*Log)(nil)
)

// ready returns an error if ctx has ended or the log is closed.
func (l *Log) ready(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if l.closed.Load() {
		return eventlog.ErrClosed
	}
	return nil
}

// ended returns ErrClosed instead of err if the log was closed during the call.
func (l *Log) ended(err error) error {
	if err != nil && l.closed.Load() && !errors.Is(err, eventlog.ErrUnknownOutcome) {
		return eventlog.ErrClosed
	}
	return err
}

// Append implements eventlog.Log. It returns when the events are durable. If ctx is done while the writer processes the
// append, the outcome is unknown.
func (l *Log) Append(ctx context.Context, stream string, expected eventlog.Revision,
	events ...eventlog.Event) (eventlog.Appended, error) {
	prepared, err := eventlog.CheckAppend(stream, expected, events)
	if err != nil {
		return eventlog.Appended{}, err
	}
	if err := l.ready(ctx); err != nil {
		return eventlog.Appended{}, fmt.Errorf("append to %s: %w", stream, err)
	}
	appended, err := l.writer.do(ctx, newRequest(newAppendChange(stream, expected, prepared), len(prepared)))
	if err != nil {
		return eventlog.Appended{}, fmt.Errorf("append to %s: %w", stream, err)
	}
	return appended, nil
}

// Head returns the position of the last event.
func (l *Log) Head(ctx context.Context) (eventlog.Position, error) {
	if err := l.ready(ctx); err != nil {
		return 0, fmt.Errorf("read head: %w", err)
	}
	head, err := l.head(ctx)
	if err != nil {
		return 0, fmt.Errorf("read head: %w", l.ended(explain(err)))
	}
	return head, nil
}

func (l *Log) head(ctx context.Context) (head eventlog.Position, err error) {
	err = l.withReader(ctx, func(r *reader) error {
		head, err = r.end(ctx)
		return err
	})
	return head, err
}

// ID returns the id that the log received when its file was created.
func (l *Log) ID(ctx context.Context) (uuid.UUID, error) {
	if err := l.ready(ctx); err != nil {
		return uuid.Nil, fmt.Errorf("read id: %w", err)
	}
	return l.id, nil
}

// Close waits until the writer has finished its current batch, refuses the waiting appends, and closes the file.
// Reads in progress end with ErrClosed.
func (l *Log) Close() (err error) {
	l.closing.Do(func() {
		l.closed.Store(true)
		close(l.done)
		err = errors.Join(l.writer.close(), l.readers.Close(), l.ephemera.close())
	})
	if err != nil {
		return fmt.Errorf("close log %s: %w", l.path, err)
	}
	return nil
}
