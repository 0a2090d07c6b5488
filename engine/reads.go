package engine

import (
	"context"
	"fmt"
	"sync/atomic"
)

// ReadPoint is a point between two reads of the log. A read that starts after it returns everything that was appended
// before it. The zero value means now, when it is used.
type ReadPoint uint64

// reads serializes the reads of the log and counts them. All callers that wait during a read share the next one. The
// running read is not enough for them: it may already have passed the position of an event that they must see.
type reads struct {
	turn    chan struct{} // holding its one place is the right to read
	started atomic.Uint64
	done    uint64 // number of the newest read that succeeded; guarded by turn
}

func newReads() reads { return reads{turn: make(chan struct{}, 1)} }

// take waits for the right to read. The caller must call release.
func (r *reads) take(ctx context.Context) error {
	select {
	case r.turn <- struct{}{}:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("wait for a read of the log: %w", ctx.Err())
	}
}

// tryTake takes the right to read if nobody has it.
func (r *reads) tryTake() bool {
	select {
	case r.turn <- struct{}{}:
		return true
	default:
		return false
	}
}

func (r *reads) release() { <-r.turn }

// ReadPoint returns the current point.
func (e *Engine) ReadPoint() ReadPoint { return ReadPoint(e.reads.started.Load()) }

// CatchUpTo folds at least what was appended before point. It reads the log only if no read since then has succeeded.
func (e *Engine) CatchUpTo(ctx context.Context, point ReadPoint) error {
	if point == 0 {
		point = e.ReadPoint()
	}
	if err := e.reads.take(ctx); err != nil {
		return err
	}
	defer e.reads.release()
	if e.reads.done > uint64(point) {
		return nil
	}
	number := e.reads.started.Add(1)
	err := e.readNew(ctx)
	if err == nil { // after a failed read, the waiters read on their own
		e.reads.done = number
	}
	return err
}
