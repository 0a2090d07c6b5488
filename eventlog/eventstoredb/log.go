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

// Log is an eventlog.Backend that uses an EventStoreDB or KurrentDB cluster.
type Log struct {
	names
	id         uuid.UUID
	config     Config
	connection *connection
	frontier   headCache
	leases     leases
	output     outputs

	closed  atomic.Bool
	alive   context.Context // cancelled by Close
	end     context.CancelFunc
	closing sync.Once
}

var _ eventlog.Backend = (*Log)(nil)

// Exposed returns why others can read or change the traffic to the cluster, or nothing if they cannot. Only
// Config.Insecure permits a cluster for which it returns a reason.
func (l *Log) Exposed() string { return l.connection.target.exposure() }

// ready returns an error if the log is closed or ctx is done.
func (l *Log) ready(ctx context.Context) error {
	if err := ended(ctx); err != nil {
		return err
	}
	if l.closed.Load() {
		return eventlog.ErrClosed
	}
	return nil
}

// bounded returns a context that is cancelled with ctx, when the log is closed, or after Config.RetryTimeout.
func (l *Log) bounded(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := l.untilClosed(ctx)
	ctx, stop := context.WithTimeoutCause(ctx, l.config.RetryTimeout, errTimeout)
	return ctx, func() { stop(); cancel() }
}

// untilClosed returns a context that is cancelled with ctx or when the log is closed.
func (l *Log) untilClosed(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancelCause(ctx)
	unhook := context.AfterFunc(l.alive, func() { cancel(eventlog.ErrClosed) })
	return ctx, func() { unhook(); cancel(nil) }
}

// errTimeout ends calls whose own context has no earlier deadline.
var errTimeout = errors.New("no answer in time")

// request is one call to the client.
type request[T any] func(ctx context.Context, client *esdb.Client) (T, error)

// retry makes a request until it is answered or refused, or until ctx is done. Use it for idempotent requests only.
func retry[T any](ctx context.Context, l *Log, r request[T]) (T, error) {
	value, _, err := retryWrite(ctx, l, r)
	return value, err
}

// retryWrite works like retry, for writes. After an error, uncertain reports whether an attempt may have taken effect.
func retryWrite[T any](ctx context.Context, l *Log, r request[T]) (value T, uncertain bool, err error) {
	ctx, cancel := l.bounded(ctx)
	defer cancel()
	for failures := 0; ; failures++ {
		value, meaning, err := try(ctx, l, r)
		switch meaning {
		case done:
			return value, false, nil
		case wrongRevision, streamMissing:
			return value, false, err
		case refused:
			return value, uncertain, l.explain(err)
		case unsent:
			return value, uncertain, l.noClient(ctx, err)
		case lost, late:
			uncertain = true
		}
		if err := l.wait(ctx, failures, err); err != nil {
			return value, uncertain, err
		}
	}
}

// try makes a request once. A node that does not answer may be disconnected from the cluster, so its clients are
// discarded.
func try[T any](ctx context.Context, l *Log, r request[T]) (value T, meaning outcome, err error) {
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
	limited, cancel := context.WithTimeout(ctx, l.config.Timeout)
	defer cancel()
	select {
	case a := <-start(limited, l.connection, s, r):
		return a.value, a.meaning, a.err
	case <-limited.Done():
		if ctx.Err() == nil {
			l.connection.discardGeneration(s)
		}
		return value, late, context.Cause(limited)
	}
}

// wait waits before the next attempt. It returns the error of the call if ctx is done first.
func (l *Log) wait(ctx context.Context, failures int, last error) error {
	timer := time.NewTimer(backoff(failures))
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return l.timedOut(ctx, last)
	}
}

// timedOut returns the error of a call whose context was done while it retried.
func (l *Log) timedOut(ctx context.Context, last error) error {
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
	case errors.Is(err, eventlog.ErrDamaged), errors.Is(err, eventlog.ErrClosed), errors.Is(err, eventlog.ErrForeign),
		errors.Is(err, eventlog.ErrUnavailable):
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

// Close ends all calls and closes the connections to the cluster.
func (l *Log) Close() error {
	l.closing.Do(func() {
		l.closed.Store(true)
		l.end()
		l.connection.close()
	})
	return nil
}
