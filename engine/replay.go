package engine

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/droverhq/drover/eventlog"
	"github.com/droverhq/drover/projections"
)

// Moment is a moment in the past of a log. The times of events are not in order: a server whose clock was wrong wrote
// some of them. MomentAt and MomentOf therefore derive a moment from the order of the events and from many of their
// times.
type Moment struct {
	// Position is that of the last event that existed then.
	Position eventlog.Position
	// Limit is the latest time at which one of these events can have been written. A later time in an event is wrong.
	Limit time.Time
	// Time is when it was. The zero time means the time of the last event, unless most of the events before it are later.
	Time time.Time
}

const (
	// maxContradictions is the number of events that MomentAt reads beyond the best position. It bounds how long a
	// server with a wrong clock can write before it hides what came earlier.
	maxContradictions = 10_000
	// nearEvents is the number of events, before and after a position, from which its time is derived.
	nearEvents = 15
)

// MomentAt returns the moment at a wall-clock time: the position that the fewest events contradict. An event up to the
// position contradicts it if its time is later than at, and an event after the position if its time is not. Of several
// such positions the last one counts. An event with a time after now, which is the current time, is certainly wrong and
// contradicts nothing.
func MomentAt(ctx context.Context, log eventlog.Log, at, now time.Time) (Moment, error) {
	m := Moment{Limit: at, Time: at}
	sum, least, beyond := 0, 0, 0 // the events up to here that are later than at, minus the others
	for rec, err := range log.ReadAll(ctx, 0, 0) {
		switch {
		case err != nil:
			return m, fmt.Errorf("read the times of the log: %w", err)
		case !rec.Time.After(at):
			sum--
		case !rec.Time.After(now):
			sum++
		}
		if beyond++; sum <= least {
			least, beyond, m.Position = sum, 0, rec.Position
		}
		if beyond == maxContradictions {
			break
		}
	}
	return m, nil
}

// MomentOf returns the moment after the event at a position. Its limit is the median time of the next events, without
// the times after now.
func MomentOf(ctx context.Context, log eventlog.Log, position eventlog.Position, now time.Time) (Moment, error) {
	m := Moment{Position: position, Limit: now}
	var next []time.Time
	for rec, err := range log.ReadAll(ctx, position, nearEvents) {
		if err != nil {
			return m, fmt.Errorf("read the times after position %s: %w", position, err)
		}
		if !rec.Time.After(now) {
			next = append(next, rec.Time)
		}
	}
	if len(next) > 0 {
		m.Limit = medianTime(next)
	}
	return m, nil
}

// Replay folds a log from its beginning to a moment and returns the view. Its ages are based on the wall-clock times in
// the log, the only ones that are known of the past. A wrong time affects the age of its own event only.
func Replay(ctx context.Context, log eventlog.Log, m Moment) (*projections.View, projections.Age, error) {
	v := CurrentRules().NewView()
	var ages projections.Ages
	var first time.Time // durations count from here: a Duration cannot hold the time since year 1
	var recent []time.Time
	for rec, err := range log.ReadAll(ctx, 0, 0) {
		if err != nil {
			return nil, nil, fmt.Errorf("replay the log: %w", err)
		}
		if rec.Position > m.Position {
			break
		}
		v.Apply(rec)
		at := earlier(rec.Time, m.Limit)
		if first.IsZero() {
			first = at
		}
		ages.Mark(rec.Position, at.Sub(first))
		if recent = append(recent, at); len(recent) > nearEvents {
			recent = recent[1:]
		}
	}
	if n := len(recent); m.Time.IsZero() && n > 0 {
		m.Time = later(recent[n-1], medianTime(recent))
	}
	age := ages.At(m.Time.Sub(first))
	return v, func(p eventlog.Position) time.Duration { return max(0, age(p)) }, nil
}

// medianTime returns the median of at least one time; the later one of two.
func medianTime(times []time.Time) time.Time {
	return slices.SortedFunc(slices.Values(times), time.Time.Compare)[len(times)/2]
}

func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}
