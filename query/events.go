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
	"github.com/droverhq/drover/projections"
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

// Events returns up to limit events after a position that the reader may see. A page may be shorter, see maxPageBytes.
func (q *Queries) Events(ctx context.Context, see explain.Sees, after eventlog.Position,
	limit int) (explain.List[explain.Event], error) {
	list := explain.List[explain.Event]{Items: []explain.Event{}, Position: q.Position().String()}
	names := q.cfg.People.Names(ctx)
	size := 0
	for rec, err := range q.readEvents(ctx, see, after, limit+1) {
		if err != nil {
			return list, fmt.Errorf("read events after position %s: %w", after, err)
		}
		if size += len(rec.Data); len(list.Items) == limit || size > maxPageBytes && len(list.Items) > 0 {
			list.Next = list.Items[len(list.Items)-1].Position
			break
		}
		list.Items = append(list.Items, explain.EventOf(rec, names))
	}
	if len(list.Items) == 0 {
		return list, q.CheckReached(ctx, after)
	}
	return list, nil
}

// readEvents yields up to count events after a position that the reader may see.
func (q *Queries) readEvents(ctx context.Context, see explain.Sees, after eventlog.Position,
	count int) iter.Seq2[eventlog.Recorded, error] {
	if see == nil {
		return q.cfg.Log.ReadAll(ctx, after, count)
	}
	return func(yield func(eventlog.Recorded, error) bool) {
		for left := count; ; {
			page := []eventlog.Recorded{}
			for rec, err := range q.cfg.Log.ReadAll(ctx, after, hiddenPage) {
				if err != nil {
					yield(rec, err)
					return
				}
				page, after = append(page, rec), rec.Position
			}
			seen, err := q.visible(ctx, see, page)
			if err != nil {
				yield(eventlog.Recorded{}, err)
				return
			}
			for _, rec := range seen {
				if left--; !yield(rec, nil) || left == 0 {
					return
				}
			}
			if len(page) < hiddenPage {
				return
			}
		}
	}
}

// hiddenPage is how many events are read at once for a reader who does not see all of them.
const hiddenPage = 1000

// visible returns the events that a reader may see, once the view includes all of them.
func (q *Queries) visible(ctx context.Context, see explain.Sees, page []eventlog.Recorded) (seen []eventlog.Recorded,
	err error) {
	if see == nil || len(page) == 0 {
		return page, nil
	}
	if err := q.cfg.Engine.WaitFor(ctx, page[len(page)-1].Position); err != nil {
		return nil, err
	}
	q.cfg.Engine.Read(func(v *projections.View) { seen = explain.VisibleOf(v, see, page) })
	return seen, nil
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

// FollowEvents yields the events after a position that the reader may see, and then new ones as they are appended, until
// ctx ends or an error occurs. It yields each event once, in order. A slow reader does not block the log.
func (q *Queries) FollowEvents(ctx context.Context, see explain.Sees,
	after eventlog.Position) iter.Seq2[explain.Event, error] {
	return func(yield func(explain.Event, error) bool) {
		follower := q.cfg.Engine.Follow(after, nil)
		for {
			page, err := q.nextEvents(ctx, see, follower)
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
func (q *Queries) nextEvents(ctx context.Context, see explain.Sees, follower *engine.Follower) ([]explain.Event, error) {
	page, err := follower.Next(ctx)
	if errors.Is(err, engine.ErrLost) {
		return nil, problem.Conflict("%s", err.Error()).WithHint("start again after #%s", q.Position())
	}
	if err != nil {
		return nil, err
	}
	if page, err = q.visible(ctx, see, page); err != nil {
		return nil, err
	}
	names := q.cfg.People.Names(ctx)
	events := make([]explain.Event, len(page))
	for i, rec := range page {
		events[i] = explain.EventOf(rec, names)
	}
	return events, nil
}
