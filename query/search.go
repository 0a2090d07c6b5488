package query

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/droverhq/drover/api/problem"
	"github.com/droverhq/drover/eventlog"
	"github.com/droverhq/drover/explain"
	"github.com/droverhq/drover/projections"
)

// EventQuery is a request for events.
type EventQuery struct {
	Sees   explain.Sees
	After  eventlog.Position
	Limit  int
	Filter explain.EventFilter
	// Newest asks for the newest events after After instead of the oldest ones. They are returned in the order of the log.
	Newest bool
}

// selects reports whether the query selects some events only.
func (in EventQuery) selects() bool { return in.Sees != nil || in.Filter != (explain.EventFilter{}) }

const (
	// scanPage is how many events are read at once, so that a slow reader of the answer does not hold a read of the log.
	scanPage = 1000
	// maxScanned bounds how many events are searched for one page of a list.
	maxScanned = 20_000
	// maxNewestScanned bounds how many events are searched for the newest ones.
	maxNewestScanned = 200_000
	// firstSegment is how many positions the search for the newest events goes back at first. While a segment has few
	// events, the next one is segmentGrowth times as long: positions are not contiguous in every log.
	firstSegment, segmentGrowth, fullSegment = 1000, 4, 10_000
	// clockSlack is how much the clocks of servers may differ: an event may be that much older than one before it.
	clockSlack = 10 * time.Minute
	// clockProbes is how many events in a row must be older than a time for the events before them to be older too: one
	// server with a wrong clock hides nothing (law 29).
	clockProbes = 20
)

// Events returns a page of the events that the reader may see and the filter selects. A page may be shorter than its limit,
// and empty although further pages follow.
func (q *Queries) Events(ctx context.Context, in EventQuery) (explain.List[explain.Event], error) {
	list := explain.List[explain.Event]{Items: []explain.Event{}, Position: q.Position().String()}
	if err := in.Filter.CheckType(); err != nil {
		return list, problem.Invalid("%s", err.Error()).WithHint("docs/reference/events.md lists the types")
	}
	if since := in.Filter.Since; !since.IsZero() {
		start, err := q.startOf(ctx, since)
		if err != nil {
			return list, err
		}
		in.After = max(in.After, start)
	}
	if in.Newest {
		return list, q.newestEvents(ctx, in, &list)
	}
	most, size, names := maxScanned, 0, q.cfg.People.Names(ctx)
	if !in.selects() {
		most = in.Limit + 1
	}
	_, upTo, more, err := q.scan(ctx, in, 0, most, func(rec eventlog.Recorded) bool {
		if size += len(rec.Data); len(list.Items) == in.Limit || size > maxPageBytes && len(list.Items) > 0 {
			return false
		}
		list.Items = append(list.Items, explain.EventOf(rec, names))
		return true
	})
	if err != nil {
		return list, err
	}
	if more {
		list.Next = upTo.String()
	}
	if len(list.Items) == 0 && !more {
		return list, q.CheckReached(ctx, in.After)
	}
	return list, nil
}

// scan calls take with the selected events after in.After and up to a position (0: all), until take returns false for an
// event or most events were read. It returns how many events were read, the position after which the next scan continues,
// and whether something may be left there.
func (q *Queries) scan(ctx context.Context, in EventQuery, until eventlog.Position, most int,
	take func(eventlog.Recorded) bool) (read int, upTo eventlog.Position, more bool, err error) {
	upTo = in.After
	for read < most {
		page, ended, err := q.readPage(ctx, upTo, until, min(scanPage, most-read))
		if err != nil {
			return read, upTo, false, err
		}
		selected, err := q.selected(ctx, in, page)
		if err != nil {
			return read, upTo, false, err
		}
		for _, rec := range selected {
			if !take(rec) {
				return read, upTo, true, nil
			}
			upTo = rec.Position
		}
		if read += len(page); len(page) > 0 {
			upTo = page[len(page)-1].Position
		}
		if ended {
			return read, upTo, false, nil
		}
	}
	return read, upTo, true, nil
}

// readPage reads at most count events after a position and up to another one (0: all), and at most maxPageBytes. ended
// reports that nothing is left.
func (q *Queries) readPage(ctx context.Context, after, until eventlog.Position,
	count int) (page []eventlog.Recorded, ended bool, err error) {
	size := 0
	for rec, err := range q.cfg.Log.ReadAll(ctx, after, count) {
		if err != nil {
			return nil, false, fmt.Errorf("read events after position %s: %w", after, err)
		}
		if until > 0 && rec.Position > until {
			return page, true, nil
		}
		page = append(page, rec)
		if size += len(rec.Data); size > maxPageBytes {
			return page, false, nil
		}
	}
	return page, len(page) < count, nil
}

// selected returns the events of a page that the reader may see and the filter selects, once the view includes all of them:
// what they are about is known only then.
func (q *Queries) selected(ctx context.Context, in EventQuery, page []eventlog.Recorded) ([]eventlog.Recorded, error) {
	if !in.selects() || len(page) == 0 {
		return page, nil
	}
	if err := q.cfg.Engine.WaitFor(ctx, page[len(page)-1].Position); err != nil {
		return nil, err
	}
	names := q.cfg.People.Names(ctx)
	var found []eventlog.Recorded
	q.cfg.Engine.Read(func(v *projections.View) {
		for _, rec := range explain.VisibleOf(v, in.Sees, page) {
			if in.Filter == (explain.EventFilter{}) || in.Filter.Matches(v, rec, names) {
				found = append(found, rec)
			}
		}
	})
	return found, nil
}

// newestEvents searches segment by segment from the end of the log, and adds what it has found to a list. SearchedAfter says
// where it has stopped before it had found enough.
func (q *Queries) newestEvents(ctx context.Context, in EventQuery, list *explain.List[explain.Event]) error {
	head, err := q.cfg.Log.Head(ctx)
	if err != nil {
		return fmt.Errorf("read the newest events: %w", err)
	}
	if in.After > head {
		return q.CheckReached(ctx, in.After)
	}
	var found []eventlog.Recorded // newest first
	scanned, size, upper, segment := 0, 0, head, eventlog.Position(firstSegment)
	for len(found) < in.Limit && upper > in.After {
		if scanned >= maxNewestScanned || size > maxPageBytes {
			list.SearchedAfter = upper.String()
			break
		}
		from := max(in.After, upper-min(upper, segment))
		part, read, err := q.segment(ctx, in, from, upper)
		if err != nil {
			return err
		}
		for _, rec := range slices.Backward(part) {
			if size += len(rec.Data); len(found) < in.Limit && (size <= maxPageBytes || len(found) == 0) {
				found = append(found, rec)
			}
		}
		if scanned, upper = scanned+read, from; read < fullSegment {
			segment *= segmentGrowth
		}
	}
	names := q.cfg.People.Names(ctx)
	for _, rec := range slices.Backward(found) {
		list.Items = append(list.Items, explain.EventOf(rec, names))
	}
	return nil
}

// segment returns the last selected events between two positions, at most in.Limit, and how many it has read.
func (q *Queries) segment(ctx context.Context, in EventQuery, after, until eventlog.Position) (found []eventlog.Recorded,
	read int, err error) {
	in.After = after
	size := 0
	read, _, _, err = q.scan(ctx, in, until, maxNewestScanned, func(rec eventlog.Recorded) bool {
		found, size = append(found, rec), size+len(rec.Data)
		for len(found) > in.Limit || size > 2*maxPageBytes && len(found) > 1 {
			size -= len(found[0].Data)
			found = found[1:]
		}
		return true
	})
	return found, read, err
}

// startOf returns a position before all events since a time, as far as the clocks of the servers agreed. It looks at a few
// events further and further back.
func (q *Queries) startOf(ctx context.Context, since time.Time) (eventlog.Position, error) {
	head, err := q.cfg.Log.Head(ctx)
	if err != nil {
		return 0, fmt.Errorf("find the events since %s: %w", since.Format(time.RFC3339), err)
	}
	for span := eventlog.Position(firstSegment); span < head; span *= segmentGrowth {
		older := 0
		for rec, err := range q.cfg.Log.ReadAll(ctx, head-span, clockProbes) {
			if err != nil {
				return 0, fmt.Errorf("find the events since %s: %w", since.Format(time.RFC3339), err)
			}
			if rec.Time.Before(since.Add(-clockSlack)) {
				older++
			}
		}
		if older == clockProbes {
			return head - span, nil
		}
	}
	return 0, nil
}
