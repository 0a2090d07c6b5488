package projections

import (
	"slices"
	"sort"
	"time"

	"github.com/droverhq/drover/eventlog"
)

// Age returns how long ago the event at a position was folded, on a monotonic clock. It returns 0 if the event was not
// folded.
type Age func(eventlog.Position) time.Duration

// Ages records when events were folded, on a monotonic clock. Durations count from there: a restart of the server
// starts them again, and clocks that differ or jump can only delay a decision.
type Ages struct {
	marks []mark
}

// mark records that everything up to position was folded at the time at.
type mark struct {
	position eventlog.Position
	at       time.Duration
}

// maxMarks bounds the memory. Beyond it the oldest marks are thinned out, which makes old events look slightly younger.
const maxMarks = 1 << 16

// Mark records that everything up to position has been folded now.
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

// thin drops every other mark of the older half. An event then gets the time of the next mark: later, never earlier.
func (a *Ages) thin() {
	kept := a.marks[:0]
	for i, m := range a.marks {
		if i >= maxMarks/2 || i%2 == 1 {
			kept = append(kept, m)
		}
	}
	a.marks = kept
}

// AtOrBelow returns the newest marked position at or below position, or 0 if none exists. A marked position is the
// position of an event, so the end of the log can be read again from there.
func (a *Ages) AtOrBelow(position eventlog.Position) eventlog.Position {
	i := sort.Search(len(a.marks), func(i int) bool { return a.marks[i].position > position })
	if i == 0 {
		return 0
	}
	return a.marks[i-1].position
}

// Marks returns the newest marked positions, oldest first.
func (a *Ages) Marks() []eventlog.Position {
	newest := a.marks[max(0, len(a.marks)-maxSavedMarks):]
	places := make([]eventlog.Position, len(newest))
	for i, m := range newest {
		places[i] = m.position
	}
	return places
}

// maxSavedMarks bounds the result of Marks. It is enough to read the end of the log again.
const maxSavedMarks = 1024

// Resume starts with the marked positions of an earlier process. How long ago they were folded is unknown, so ages
// count from now.
func (a *Ages) Resume(pauses []eventlog.Position, now time.Duration) {
	a.marks = make([]mark, len(pauses))
	for i, position := range pauses {
		a.marks[i] = mark{position, now}
	}
}

// Restart counts all ages from now. A server whose own process was suspended must not act on time that it did not
// observe.
func (a *Ages) Restart(now time.Duration) {
	if n := len(a.marks); n > 0 {
		a.marks = []mark{{a.marks[n-1].position, now}}
	}
}

// Delay excludes d from all ages, because this server did not run or could not use the log for that long.
func (a *Ages) Delay(d, now time.Duration) {
	for i := range a.marks {
		a.marks[i].at = min(a.marks[i].at+d, now)
	}
}

// Clone returns a copy, whose ages stay valid when the original is marked.
func (a *Ages) Clone() *Ages { return &Ages{marks: slices.Clone(a.marks)} }

// At returns the ages at one moment. The ages must not be marked while the result is in use.
func (a *Ages) At(now time.Duration) Age {
	return func(p eventlog.Position) time.Duration { return a.Since(p, now) }
}

// Since returns how long ago the event at position was folded, or 0 if it was not.
func (a *Ages) Since(position eventlog.Position, now time.Duration) time.Duration {
	i := sort.Search(len(a.marks), func(i int) bool { return a.marks[i].position >= position })
	if i == len(a.marks) {
		return 0
	}
	return now - a.marks[i].at
}
