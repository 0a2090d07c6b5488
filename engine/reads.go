package engine

import (
	"context"
	"fmt"
	"sync/atomic"
)

// Moment is a time between two reads of the log: what was appended before it is seen by every read that begins after it.
// The zero value is the time at which it is used.
type ReadPoint uint64

// reads are those of the log, one at a time. They are counted, so that all who wait while one runs share the next. One
// that runs already helps none of them: it may have passed the place where what they must see has been appended.
type reads struct {
	turn    chan struct{} // a place in it is the right to read
	started atomic.Uint64
	done    uint64 // the newest that came to its end, by its number; belongs to who reads
}

func newReads() reads { return reads{turn: make(chan struct{}, 1)} }

// Moment is now.
func (e *Engine) ReadPoint() ReadPoint { return ReadPoint(e.reads.started.Load()) }

// See folds at least what was appended before a moment. It reads the log only if nobody has since.
func (e *Engine) CatchUpTo(ctx context.Context, point ReadPoint) error {
	if point == 0 {
		point = e.ReadPoint()
	}
	select {
	case e.reads.turn <- struct{}{}:
	case <-ctx.Done():
		return fmt.Errorf("wait for a read of the log: %w", ctx.Err())
	}
	defer func() { <-e.reads.turn }()
	if e.reads.done > uint64(point) {
		return nil
	}
	number := e.reads.started.Add(1)
	err := e.readNew(ctx)
	if err == nil { // who waits for one that failed reads for itself
		e.reads.done = number
	}
	return err
}
