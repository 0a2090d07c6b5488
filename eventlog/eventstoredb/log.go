package eventstoredb

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/EventStore/EventStore-Client-Go/v4/esdb"
	"github.com/google/uuid"

	"github.com/droverhq/drover/eventlog"
)

// Log is an eventlog.Backend in an EventStoreDB or KurrentDB cluster.
type Log struct {
	names
	id         uuid.UUID
	config     Config
	connection *connection
	frontier   frontier
	leases     leases
	output     outputs

	closed  atomic.Bool
	alive   context.Context // ends with Close
	end     context.CancelFunc
	closing sync.Once
}

var _ eventlog.Backend = (*Log)(nil)

// ready returns the error that a call gives at once, whatever it asks.
func (l *Log) ready(ctx context.Context) error {
	if err := ended(ctx); err != nil {
		return err
	}
	if l.closed.Load() {
		return eventlog.ErrClosed
	}
	return nil
}

// bounded returns a context that ends with ctx, with the log, and when patience is over.
func (l *Log) bounded(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := l.living(ctx)
	ctx, stop := context.WithTimeoutCause(ctx, l.config.Patience, errPatience)
	return ctx, func() { stop(); cancel() }
}

// living returns a context that ends with ctx and with the log.
func (l *Log) living(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancelCause(ctx)
	unhook := context.AfterFunc(l.alive, func() { cancel(eventlog.ErrClosed) })
	return ctx, func() { unhook(); cancel(nil) }
}

// errPatience ends calls whose own context would let them try for ever.
var errPatience = errors.New("no answer in time")

// request is one call of the client.
type request[T any] func(ctx context.Context, client *esdb.Client) (T, error)

// ask makes a request, again and again until it is answered, refused, or ctx has ended. It
// is for requests that do no harm when they are made twice.
func ask[T any](ctx context.Context, l *Log, r request[T]) (T, error) {
	value, _, err := insist(ctx, l, r)
	return value, err
}

// insist is ask for writes: after an error, doubt reports whether an attempt may have been carried out.
func insist[T any](ctx context.Context, l *Log, r request[T]) (value T, doubt bool, err error) {
	ctx, cancel := l.bounded(ctx)
	defer cancel()
	for failures := 0; ; failures++ {
		value, meaning, err := try(ctx, l, r)
		switch meaning {
		case done:
			return value, false, nil
		case wrong, missing:
			return value, false, err
		case refused:
			return value, doubt, l.explain(err)
		case unsent:
			return value, doubt, l.gone(ctx, err)
		case lost, late:
			doubt = true
		}
		if err := l.wait(ctx, failures, err); err != nil {
			return value, doubt, err
		}
	}
}

// try makes a request once. A node that is silent may be one that others have left behind,
// so its clients are thrown away.
func try[T any](ctx context.Context, l *Log, r request[T]) (value T, meaning upshot, err error) {
	select {
	case l.connection.requests <- struct{}{}:
		defer func() { <-l.connection.requests }()
	case <-ctx.Done():
		return value, unsent, l.connection.unreachable(ctx)
	}
	s, err := l.connection.client(ctx)
	if err != nil {
		return value, unsent, err
	}
	limited, cancel := context.WithTimeout(ctx, l.config.Answer)
	defer cancel()
	select {
	case a := <-start(limited, l.connection, s, r):
		return a.value, a.meaning, a.err
	case <-limited.Done():
		if ctx.Err() == nil {
			l.connection.suspect(s)
		}
		return value, late, context.Cause(limited)
	}
}

// wait waits before the next attempt. It returns the error of the call if ctx ends before.
func (l *Log) wait(ctx context.Context, failures int, last error) error {
	timer := time.NewTimer(backoff(failures))
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return l.gaveUp(ctx, last)
	}
}

// gaveUp is the error of a call whose context ended while it tried.
func (l *Log) gaveUp(ctx context.Context, last error) error {
	cause := context.Cause(ctx)
	if errors.Is(cause, eventlog.ErrClosed) || errors.Is(cause, context.Canceled) {
		return cause
	}
	if errors.Is(last, cause) || errors.Is(last, context.DeadlineExceeded) {
		return fmt.Errorf("%w: %s does not answer: %w", eventlog.ErrUnavailable, l.connection.target.shown, cause)
	}
	return fmt.Errorf("%w: %w", l.explain(last), cause)
}

func (l *Log) explain(err error) error {
	switch {
	case errors.Is(err, eventlog.ErrDamaged), errors.Is(err, eventlog.ErrClosed), errors.Is(err, eventlog.ErrForeign), errors.Is(err, eventlog.ErrUnavailable):
		return err
	}
	return explain(err, l.connection.target.shown)
}

// ID returns the id of the log.
func (l *Log) ID(ctx context.Context) (uuid.UUID, error) {
	if err := l.ready(ctx); err != nil {
		return uuid.Nil, fmt.Errorf("read id: %w", err)
	}
	return l.id, nil
}

// Close ends all calls and lets go of the cluster.
func (l *Log) Close() error {
	l.closing.Do(func() {
		l.closed.Store(true)
		l.end()
		l.connection.close()
	})
	return nil
}
