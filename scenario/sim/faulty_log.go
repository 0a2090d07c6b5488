package sim

import (
	"context"
	"errors"
	"fmt"
	"iter"

	"github.com/droverhq/drover/eventlog"
	"github.com/droverhq/drover/eventlog/memory"
)

// errDead is the error of every call after the process of the server has crashed.
var errDead = errors.New("the process is dead")

// faultyLog is one server's connection to the log, with the faults of networks and crashes. It does not violate the
// guarantees of the log: an event that it returns is in the log.
type faultyLog struct {
	*memory.Log
	// onWrite is called for each event that this server was the first to write.
	onWrite func(eventlog.Event)
	// pageSizes contains the numbers of events after which the next reads end early.
	pageSizes []int
	// failReads makes these reads end with an error.
	failReads bool
	// redeliver is how many earlier events the next read returns again.
	redeliver int
	// unavailable is how many of the next calls fail without reading or committing anything.
	unavailable int
	// noLeases is how many of the next calls about leases fail, although the log is available.
	noLeases int
	// lostReplies is how many of the next appends are committed without a reply.
	lostReplies int
	// diesAfter counts the appends until the process crashes, which happens after the commit and before the reply. It is
	// negative if the process does not crash.
	diesAfter int
	dead      bool
}

func newFaultyLog(log *memory.Log, onWrite func(eventlog.Event)) *faultyLog {
	return &faultyLog{Log: log, onWrite: onWrite, diesAfter: -1}
}

// repair removes all faults.
func (w *faultyLog) repair() {
	w.pageSizes, w.failReads, w.redeliver, w.unavailable, w.noLeases, w.lostReplies, w.diesAfter = nil, false, 0, 0, 0,
		0, -1
}

// Put fails for leases while they are unavailable. Renewing a lease and reading the others starts with Put, so it
// fails.
func (w *faultyLog) Put(ctx context.Context, c eventlog.Collection, item eventlog.Item) error {
	switch {
	case w.dead:
		return errDead
	case w.noLeases > 0 && c == eventlog.Leases:
		w.noLeases--
		return fmt.Errorf("put %s into %s: %w", item.Key, c, eventlog.ErrUnavailable)
	}
	return w.Log.Put(ctx, c, item)
}

// isUnavailable reports whether this call finds the log unavailable.
func (w *faultyLog) isUnavailable() bool {
	if w.unavailable == 0 {
		return false
	}
	w.unavailable--
	return true
}

// Append commits, and may then lose the reply or crash the process.
func (w *faultyLog) Append(ctx context.Context, stream string, expected eventlog.Revision,
	events ...eventlog.Event) (eventlog.Appended, error) {
	if w.dead {
		return eventlog.Appended{}, errDead
	}
	if w.isUnavailable() {
		return eventlog.Appended{}, fmt.Errorf("append to %s: %w", stream, eventlog.ErrUnavailable)
	}
	appended, err := w.Log.Append(ctx, stream, expected, events...)
	if err != nil {
		return appended, err
	}
	for _, e := range events {
		if !appended.Repeat {
			w.onWrite(e)
		}
	}
	switch {
	case w.diesAfter == 0:
		w.dead = true
		return eventlog.Appended{}, errDead
	case w.diesAfter > 0:
		w.diesAfter--
	}
	if w.lostReplies > 0 {
		w.lostReplies--
		return eventlog.Appended{}, fmt.Errorf("append to %s: %w", stream, eventlog.ErrUnknownOutcome)
	}
	return appended, nil
}

// ReadAll may return some events twice, and may end early.
func (w *faultyLog) ReadAll(ctx context.Context, after eventlog.Position,
	limit int) iter.Seq2[eventlog.Recorded, error] {
	return func(yield func(eventlog.Recorded, error) bool) {
		if w.dead {
			yield(eventlog.Recorded{}, errDead)
			return
		}
		if w.isUnavailable() {
			yield(eventlog.Recorded{}, fmt.Errorf("read after %s: %w", after, eventlog.ErrUnavailable))
			return
		}
		from := after - eventlog.Position(min(w.redeliver, int(after)))
		w.redeliver = 0
		left, fails := w.nextPage()
		for rec, err := range w.Log.ReadAll(ctx, from, limit) {
			if err == nil && rec.Position > after {
				left--
			}
			if left < 0 {
				if fails {
					yield(eventlog.Recorded{}, fmt.Errorf("read after %s: %w", rec.Position, eventlog.ErrUnavailable))
				}
				return
			}
			if !yield(rec, err) {
				return
			}
		}
	}
}

// nextPage returns how many new events the next read returns, and whether it ends with an error.
func (w *faultyLog) nextPage() (size int, fails bool) {
	if len(w.pageSizes) == 0 {
		return 1 << 30, false
	}
	size, w.pageSizes = w.pageSizes[0], w.pageSizes[1:]
	return size, w.failReads
}
