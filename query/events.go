package query

import (
	"context"
	"errors"
	"iter"
	"time"

	"github.com/droverhq/drover/api/problem"
	"github.com/droverhq/drover/engine"
	"github.com/droverhq/drover/eventlog"
	"github.com/droverhq/drover/explain"
)

const (
	// maxPageBytes bounds the data in one page of events. A page ends early when it is reached.
	maxPageBytes = 8 << 20
	// newestWithin bounds how long Newest waits for the log.
	newestWithin = 30 * time.Second
)

// ParsePosition parses the first non-empty text. If all are empty, it returns the beginning of the log.
func ParsePosition(texts ...string) (eventlog.Position, error) {
	for _, text := range texts {
		if text == "" {
			continue
		}
		p, err := eventlog.ParsePosition(text)
		if err != nil {
			return 0, problem.Invalid("invalid position %.40q",
				text).WithHint("use the position of an event, such as 12")
		}
		return p, nil
	}
	return 0, nil
}

// Newest returns the position of the last event that any server has written, as far as it can be determined now.
func (q *Queries) Newest(ctx context.Context) eventlog.Position {
	ctx, cancel := context.WithTimeout(ctx, newestWithin)
	defer cancel()
	_ = q.cfg.Engine.CatchUp(ctx) // if the log is unavailable, return what this server has folded
	return q.Position()
}

// CheckReached returns a problem if the log ends before a position. The log has then lost an event that the caller
// read, and the caller would miss the events that replace it.
func (q *Queries) CheckReached(ctx context.Context, after eventlog.Position) error {
	head, err := q.cfg.Log.Head(ctx)
	if err == nil && after > head {
		return problem.Conflict("the log ends at #%s, before the requested position #%s: was it restored from a backup?",
			head, after).WithHint("start again after #%s", head)
	}
	return nil // if the log is unavailable, the caller waits for it
}

// FollowEvents yields the events after a position that the reader may see and the filter selects, and then new ones as they are appended, until
// ctx ends or an error occurs. It yields each event once, in order. A slow reader does not block the log.
func (q *Queries) FollowEvents(ctx context.Context, see explain.Sees,
	after eventlog.Position, f explain.EventFilter) iter.Seq2[explain.Event, error] {
	return func(yield func(explain.Event, error) bool) {
		follower := q.cfg.Engine.Follow(after, nil)
		for {
			page, err := q.nextEvents(ctx, see, follower, f)
			if err != nil {
				yield(explain.Event{}, err)
				return
			}
			for _, event := range page {
				if !yield(event, nil) {
					return
				}
			}
		}
	}
}

// nextEvents returns the next events of a follower, formatted for people.
func (q *Queries) nextEvents(ctx context.Context, see explain.Sees, follower *engine.Follower,
	f explain.EventFilter) (events []explain.Event, err error) {
	page, err := follower.Next(ctx)
	if errors.Is(err, engine.ErrLost) {
		return nil, problem.Conflict("%s", err.Error()).WithHint("start again after #%s", q.Position())
	}
	if err != nil {
		return nil, err
	}
	if page, err = q.selected(ctx, EventQuery{Sees: see, Filter: f}, page); err != nil {
		return nil, err
	}
	names := q.cfg.People.Names(ctx)
	for _, rec := range page {
		events = append(events, explain.EventOf(rec, names))
	}
	return events, nil
}
