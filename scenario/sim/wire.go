package sim

import (
	"context"
	"errors"
	"fmt"
	"iter"

	"github.com/droverhq/drover/eventlog"
	"github.com/droverhq/drover/eventlog/memory"
)

// errDead is what every call answers once the process behind a wire is dead.
var errDead = errors.New("the process is dead")

// wire is one server's way to the log. It does what networks and crashes do, in the order it was told,
// and nothing that the laws of the log forbid: what it says is there is there.
type wire struct {
	*memory.Log
	// notes hears of each event that this server was the first to write.
	notes func(eventlog.Event)
	// cuts are the numbers of events after which the next reads end early: a reader that lags.
	cuts []int
	// breaks says that such a read ends with an error instead.
	breaks bool
	// again is how many events before the wanted ones the next read delivers once more.
	again int
	// out is how many of the next calls find the log unavailable: nothing is read and nothing committed.
	out int
	// blind is how many of the next calls about leases find nothing, though the log itself is there.
	blind int
	// deaf is how many of the next appends are committed and not answered.
	deaf int
	// last counts down the appends until the process dies; negative while it is not to die. It dies
	// after the append, before the answer.
	last int
	dead bool
}

func newWire(log *memory.Log, notes func(eventlog.Event)) *wire {
	return &wire{Log: log, notes: notes, last: -1}
}

// mend takes every fault off.
func (w *wire) mend() {
	w.cuts, w.breaks, w.again, w.out, w.blind, w.deaf, w.last = nil, false, 0, 0, 0, 0, -1
}

// Put fails for leases while they cannot be reached. So does the whole look at them, which begins with it.
func (w *wire) Put(ctx context.Context, c eventlog.Collection, item eventlog.Item) error {
	switch {
	case w.dead:
		return errDead
	case w.blind > 0 && c == eventlog.Leases:
		w.blind--
		return fmt.Errorf("put %s into %s: %w", item.Key, c, eventlog.ErrUnavailable)
	}
	return w.Log.Put(ctx, c, item)
}

// away says whether this call finds the log unavailable.
func (w *wire) away() bool {
	if w.out == 0 {
		return false
	}
	w.out--
	return true
}

// Append commits, and then perhaps loses the answer, or the whole process.
func (w *wire) Append(ctx context.Context, stream string, expected eventlog.Revision, events ...eventlog.Event) (eventlog.Appended, error) {
	if w.dead {
		return eventlog.Appended{}, errDead
	}
	if w.away() {
		return eventlog.Appended{}, fmt.Errorf("append to %s: %w", stream, eventlog.ErrUnavailable)
	}
	appended, err := w.Log.Append(ctx, stream, expected, events...)
	if err != nil {
		return appended, err
	}
	for _, e := range events {
		if !appended.Repeat {
			w.notes(e)
		}
	}
	switch {
	case w.last == 0:
		w.dead = true
		return eventlog.Appended{}, errDead
	case w.last > 0:
		w.last--
	}
	if w.deaf > 0 {
		w.deaf--
		return eventlog.Appended{}, fmt.Errorf("append to %s: %w", stream, eventlog.ErrUnknownOutcome)
	}
	return appended, nil
}

// ReadAll delivers some events twice, and ends early, if it was told to.
func (w *wire) ReadAll(ctx context.Context, after eventlog.Position, limit int) iter.Seq2[eventlog.Recorded, error] {
	return func(yield func(eventlog.Recorded, error) bool) {
		if w.dead {
			yield(eventlog.Recorded{}, errDead)
			return
		}
		if w.away() {
			yield(eventlog.Recorded{}, fmt.Errorf("read after %s: %w", after, eventlog.ErrUnavailable))
			return
		}
		from := after - eventlog.Position(min(w.again, int(after)))
		w.again = 0
		room, broken := w.cut()
		for rec, err := range w.Log.ReadAll(ctx, from, limit) {
			if err == nil && rec.Position > after {
				room--
			}
			if room < 0 {
				if broken {
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

// cut says how many new events the next read delivers, and whether it ends with an error.
func (w *wire) cut() (room int, broken bool) {
	if len(w.cuts) == 0 {
		return 1 << 30, false
	}
	room, w.cuts = w.cuts[0], w.cuts[1:]
	return room, w.breaks
}
