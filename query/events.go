package query

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
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

// EventQuery is a request for events.
type EventQuery struct {
	Sees   explain.Sees
	After  eventlog.Position
	Limit  int
	Filter explain.EventFilter
	// Newest asks for the newest events after After instead of the oldest ones. They are returned in the order of the log.
	Newest bool
}

// maxScanned bounds how many events are searched for one page of a filtered list.
const maxScanned = 20_000

// Events returns a page of the events that the reader may see. A page may be shorter, see maxPageBytes, and empty although
// further pages follow, see maxScanned.
func (q *Queries) Events(ctx context.Context, in EventQuery) (explain.List[explain.Event], error) {
	if since := in.Filter.Since; !since.IsZero() {
		start, err := q.startOf(ctx, since)
		if err != nil {
			return explain.List[explain.Event]{}, err
		}
		in.After = max(in.After, start)
	}
	if in.Newest {
		return q.newestEvents(ctx, in)
	}
	list := explain.List[explain.Event]{Items: []explain.Event{}, Position: q.Position().String()}
	names := q.cfg.People.Names(ctx)
	size, scanned, last := 0, 0, in.After
	count := in.Limit + 1
	if in.Filter != (explain.EventFilter{}) {
		count = maxScanned + 1
	}
	for rec, err := range q.readEvents(ctx, in.Sees, in.After, count) {
		if err != nil {
			return list, fmt.Errorf("read events after position %s: %w", in.After, err)
		}
		size += len(rec.Data)
		scanned++
		if len(list.Items) == in.Limit || scanned > maxScanned || size > maxPageBytes && scanned > 1 {
			list.Next = last.String()
			break
		}
		if last = rec.Position; q.matches(in.Filter, rec, names) {
			list.Items = append(list.Items, explain.EventOf(rec, names))
		}
	}
	if len(list.Items) == 0 && list.Next == "" {
		return list, q.CheckReached(ctx, in.After)
	}
	return list, nil
}

// matches reports whether a filter selects an event.
func (q *Queries) matches(f explain.EventFilter, rec eventlog.Recorded, names explain.Names) (selected bool) {
	if f == (explain.EventFilter{}) {
		return true
	}
	q.cfg.Engine.Read(func(v *projections.View) { selected = f.Matches(v, rec, names) })
	return selected
}

const (
	// newestSpan is how many positions newestEvents and startOf go back at first.
	newestSpan = 1000
	// spanGrowth is how much further they go each time.
	spanGrowth = 4
	// maxNewestScanned bounds how many events newestEvents reads at once.
	maxNewestScanned = 200_000
	// clockSlack is how much the clocks of servers may differ: an event may be that much older than one before it.
	clockSlack = 10 * time.Minute
)

// newestEvents reads from further and further back until it has found enough events. Positions are not contiguous in every
// log, so the number of events in a span is not known.
func (q *Queries) newestEvents(ctx context.Context, in EventQuery) (explain.List[explain.Event], error) {
	list := explain.List[explain.Event]{Items: []explain.Event{}, Position: q.Position().String()}
	head, err := q.cfg.Log.Head(ctx)
	if err != nil {
		return list, fmt.Errorf("read the newest events: %w", err)
	}
	if in.After > head {
		return list, q.CheckReached(ctx, in.After)
	}
	names := q.cfg.People.Names(ctx)
	for span := eventlog.Position(newestSpan); ; span *= spanGrowth {
		from := max(in.After, head-min(head, span))
		found, scanned, err := q.lastMatching(ctx, in, from, names)
		if err != nil {
			return list, err
		}
		if from == in.After || len(found) == in.Limit || scanned >= maxNewestScanned {
			for _, rec := range found {
				list.Items = append(list.Items, explain.EventOf(rec, names))
			}
			return list, nil
		}
	}
}

// lastMatching returns the last events after a position that match, at most in.Limit, and how many it has read.
func (q *Queries) lastMatching(ctx context.Context, in EventQuery, after eventlog.Position,
	names explain.Names) (found []eventlog.Recorded, scanned int, err error) {
	for rec, err := range q.readEvents(ctx, in.Sees, after, 0) {
		if err != nil {
			return nil, 0, fmt.Errorf("read events after position %s: %w", after, err)
		}
		scanned++
		if !q.matches(in.Filter, rec, names) {
			continue
		}
		if found = append(found, rec); len(found) > 2*in.Limit {
			found = slices.Clone(found[len(found)-in.Limit:])
		}
	}
	return found[max(0, len(found)-in.Limit):], scanned, nil
}

// startOf returns a position before all events since a time, as far as the clocks of the servers agreed. It reads one event
// in each span.
func (q *Queries) startOf(ctx context.Context, since time.Time) (eventlog.Position, error) {
	head, err := q.cfg.Log.Head(ctx)
	if err != nil {
		return 0, fmt.Errorf("find the events since %s: %w", since.Format(time.RFC3339), err)
	}
	for span := eventlog.Position(newestSpan); span < head; span *= spanGrowth {
		for rec, err := range q.cfg.Log.ReadAll(ctx, head-span, 1) {
			if err != nil {
				return 0, fmt.Errorf("find the events since %s: %w", since.Format(time.RFC3339), err)
			}
			if rec.Time.Before(since.Add(-clockSlack)) {
				return head - span, nil
			}
		}
	}
	return 0, nil
}

// readEvents yields up to count events after a position that the reader may see.
func (q *Queries) readEvents(ctx context.Context, see explain.Sees, after eventlog.Position,
	count int) iter.Seq2[eventlog.Recorded, error] {
	if see == nil {
		return q.cfg.Log.ReadAll(ctx, after, count)
	}
	return func(yield func(eventlog.Recorded, error) bool) {
		for left := count; ; { // a count of 0 means all
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
	if page, err = q.visible(ctx, see, page); err != nil {
		return nil, err
	}
	names := q.cfg.People.Names(ctx)
	for _, rec := range page {
		if q.matches(f, rec, names) {
			events = append(events, explain.EventOf(rec, names))
		}
	}
	return events, nil
}
