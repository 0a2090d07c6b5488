package query

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"time"

	"github.com/droverhq/drover/api/problem"
	"github.com/droverhq/drover/engine"
	"github.com/droverhq/drover/eventlog"
	"github.com/droverhq/drover/explain"
)

const (
	// maxPageBytes bounds the data in one page of events; the page ends early.
	maxPageBytes = 8 << 20
	// newestWithin bounds how long Newest waits for the log.
	newestWithin = 30 * time.Second
)

// ParsePosition reads the first of texts that is not empty; if all are, it is the beginning of the log.
func ParsePosition(texts ...string) (eventlog.Position, error) {
	for _, text := range texts {
		if text == "" {
			continue
		}
		p, err := eventlog.ParsePosition(text)
		if err != nil {
			return 0, problem.Invalid("invalid position %.40q", text).WithHint("use the position of an event, such as 12")
		}
		return p, nil
	}
	return 0, nil
}

// Events returns up to limit events after a position. A page also ends when it is large.
func (q *Queries) Events(ctx context.Context, after eventlog.Position, limit int) (explain.List[explain.Event], error) {
	list := explain.List[explain.Event]{Items: []explain.Event{}, Position: q.Position().String()}
	names := q.cfg.People.Names(ctx)
	size := 0
	for rec, err := range q.cfg.Log.ReadAll(ctx, after, limit+1) {
		if err != nil {
			return list, fmt.Errorf("read events after position %s: %w", after, err)
		}
		if size += len(rec.Data); len(list.Items) == limit || size > maxPageBytes && len(list.Items) > 0 {
			list.Next = list.Items[len(list.Items)-1].Position
			break
		}
		list.Items = append(list.Items, explain.EventOf(rec, names))
	}
	return list, nil
}

// Newest is the position of the last event that any server has written, as far as it can be known now.
func (q *Queries) Newest(ctx context.Context) eventlog.Position {
	ctx, cancel := context.WithTimeout(ctx, newestWithin)
	defer cancel()
	_ = q.cfg.Engine.CatchUp(ctx) // with a log that cannot be read now, what this server has seen is all there is
	return q.Position()
}

// Reached returns a problem if the log ends before a position: it has lost what the caller read there, and the caller
// would missing whatever is written up to it.
func (q *Queries) Reached(ctx context.Context, after eventlog.Position) error {
	head, err := q.cfg.Log.Head(ctx)
	if err == nil && after > head {
		return problem.Conflict("the log ends at position %s, before %s: was it restored from a backup?", head, after).
			WithHint("begin again after %s", head)
	}
	return nil // a log that cannot be read now is waited for
}

// FollowEvents yields what the log holds after a position, and what is appended from then on, until ctx ends or an error.
// Its reader gets every event once and in order however slow it is, and does not keep the log waiting.
func (q *Queries) FollowEvents(ctx context.Context, after eventlog.Position) iter.Seq2[explain.Event, error] {
	return func(yield func(explain.Event, error) bool) {
		follower := q.cfg.Engine.Follow(after, nil)
		for {
			page, err := q.nextEvents(ctx, follower)
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

// nextEvents are the next events of a follower, as they are shown.
func (q *Queries) nextEvents(ctx context.Context, follower *engine.Follower) ([]explain.Event, error) {
	page, err := follower.Next(ctx)
	if errors.Is(err, engine.ErrLost) {
		return nil, problem.Conflict("%s", err.Error()).WithHint("begin again after %s", q.Position())
	}
	if err != nil {
		return nil, err
	}
	names := q.cfg.People.Names(ctx)
	events := make([]explain.Event, len(page))
	for i, rec := range page {
		events[i] = explain.EventOf(rec, names)
	}
	return events, nil
}
