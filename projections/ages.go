package projections

import (
	"sort"
	"time"

	"github.com/droverhq/drover/eventlog"
)

// Age is how long ago the event at a position was folded, on one clock that only rises; 0 for one that was not.
type Age func(eventlog.Position) time.Duration

// Ages says how long ago events were folded, on one clock that only rises. Durations are counted from
// there: a restart counts anew, and clocks that differ or jump can only delay.
type Ages struct {
	marks []mark
}

// mark says that everything up to position was folded by at.
type mark struct {
	position eventlog.Position
	at       time.Duration
}

// maxMarks bounds the memory; the oldest marks are thinned out, which makes old events look a little younger.
const maxMarks = 1 << 16

// Mark notes that everything up to position is folded now.
func (a *Ages) Mark(position eventlog.Position, now time.Duration) {
	n := len(a.marks)
	switch {
	case n > 0 && a.marks[n-1].position >= position:
		return
	case n > 0 && a.marks[n-1].at == now:
		a.marks[n-1].position = position
		return
	case n >= maxMarks:
		a.thin()
	}
	a.marks = append(a.marks, mark{position, now})
}

// thin drops every other mark of the older half. An event then takes the time of the next mark: later, never earlier.
func (a *Ages) thin() {
	kept := a.marks[:0]
	for i, m := range a.marks {
		if i >= maxMarks/2 || i%2 == 1 {
			kept = append(kept, m)
		}
	}
	a.marks = kept
}

// AtOrBelow is the newest place at or below position at which a fold paused: a position that an event has; 0 where
// none is known. A log's end can be read again from there.
func (a *Ages) AtOrBelow(position eventlog.Position) eventlog.Position {
	i := sort.Search(len(a.marks), func(i int) bool { return a.marks[i].position > position })
	if i == 0 {
		return 0
	}
	return a.marks[i-1].position
}

// Pauses are the newest places at which a fold paused, oldest first.
func (a *Ages) Marks() []eventlog.Position {
	newest := a.marks[max(0, len(a.marks)-maxSavedMarks):]
	places := make([]eventlog.Position, len(newest))
	for i, m := range newest {
		places[i] = m.position
	}
	return places
}

// maxSavedMarks is how many places Pauses remembers: enough to read the end of a log from.
const maxSavedMarks = 1024

// Resume begins with places at which an earlier fold paused. How long ago that was nobody knows: it counts from now.
func (a *Ages) Resume(pauses []eventlog.Position, now time.Duration) {
	a.marks = make([]mark, len(pauses))
	for i, position := range pauses {
		a.marks[i] = mark{position, now}
	}
}

// Restart forgets how long ago anything was: all of it counts from now. A server whose own clock was
// stopped must not judge by the time it did not see.
func (a *Ages) Restart(now time.Duration) {
	if n := len(a.marks); n > 0 {
		a.marks = []mark{{a.marks[n-1].position, now}}
	}
}

// At is the age of positions at one moment. The ages must not be marked while it is used.
func (a *Ages) At(now time.Duration) Age {
	return func(p eventlog.Position) time.Duration { return a.Since(p, now) }
}

// Since is how long ago the event at position was folded; 0 if it was not.
func (a *Ages) Since(position eventlog.Position, now time.Duration) time.Duration {
	i := sort.Search(len(a.marks), func(i int) bool { return a.marks[i].position >= position })
	if i == len(a.marks) {
		return 0
	}
	return now - a.marks[i].at
}
