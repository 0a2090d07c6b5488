package sqlite

import (
	"cmp"
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"iter"
	"math"

	"github.com/droverhq/drover/eventlog"
)

// Limits of one page, which is in memory while its consumer works.
const (
	pageEvents = 1000
	pageBytes  = 1 << 20
)

// cursor is a read in progress. It fetches pages up to limit. If the first page is not the last, the read ends at the
// head of the log at that time.
type cursor struct {
	log   *Log
	query func(r *reader, end eventlog.Position, limit int) (statement, []driver.Value)
	// advance checks that an event is the next one and moves the cursor past it.
	advance func(eventlog.Recorded) error
	// end limits the read, so that it ends even if its consumer appends.
	end   eventlog.Position
	limit int // 0 means no limit
	read  int
	size  int // number of events in the previous page
}

// page returns the next events and whether more may follow.
func (c *cursor) page(ctx context.Context) (events []eventlog.Recorded, more bool, err error) {
	if err := c.log.ready(ctx); err != nil {
		return nil, false, err
	}
	want := pageEvents
	if c.limit > 0 {
		want = min(want, c.limit-c.read)
	}
	err = c.log.withReader(ctx, func(r *reader) (err error) {
		events, more, err = c.collect(ctx, r, want)
		c.read += len(events)
		c.size = len(events)
		more = more && (c.limit == 0 || c.read < c.limit)
		if err == nil && more && c.end == math.MaxInt64 {
			c.end, err = r.end(ctx)
		}
		return err
	})
	return events, more, explain(err)
}

// errPageFull ends the query when a page is full.
var errPageFull = errors.New("page is full")

// collect reads until it has want events or the page is full. It leaves no read transaction open.
func (c *cursor) collect(ctx context.Context, r *reader, want int) (events []eventlog.Recorded, full bool, err error) {
	// The query ignores ctx: a query that can be cancelled needs two goroutines, which cost more than the query. If
	// another connection locks the file, the query may last as long as the busy timeout.
	ctx = context.WithoutCancel(ctx)
	bytes := 0
	events = make([]eventlog.Recorded, 0, min(c.size, want))
	take := func(found []driver.Value) error {
		if len(events) == 0 { // in the transaction of the query, which does not begin another one
			if err := r.checkFormat(ctx); err != nil {
				return err
			}
		}
		event, err := scan(found)
		if err == nil {
			err = c.advance(event)
		}
		if err != nil {
			return err
		}
		events = append(events, event)
		bytes += len(event.Data)
		if len(events) == want || bytes >= pageBytes {
			return errPageFull
		}
		return nil
	}
	query, values := c.query(r, c.end, want)
	err = query.eachUntil(ctx, take, values...)
	if full = errors.Is(err, errPageFull); full {
		return events, true, nil
	}
	if err != nil || len(events) == 0 { // a newer format explains an error best, and an idle server must notice it too
		err = cmp.Or(r.checkFormat(ctx), err)
	}
	return events, false, err
}

// all yields all events of the cursor.
func (c *cursor) all(ctx context.Context, what string, yield func(eventlog.Recorded, error) bool) {
	if err := eventlog.CheckLimit(c.limit); err != nil {
		yield(eventlog.Recorded{}, fmt.Errorf("%s: %w", what, err))
		return
	}
	eventlog.ReadAhead(ctx, c.page, func(event eventlog.Recorded, err error) bool {
		if err != nil {
			err = fmt.Errorf("%s: %w", what, c.log.ended(err))
		}
		return yield(event, err)
	})
}

// ReadStream implements eventlog.Log.
func (l *Log) ReadStream(ctx context.Context, stream string, from eventlog.Revision,
	limit int) iter.Seq2[eventlog.Recorded, error] {
	return func(yield func(eventlog.Recorded, error) bool) {
		next := max(from, 0)
		c := &cursor{log: l, limit: limit, end: math.MaxInt64}
		c.query = func(r *reader, end eventlog.Position, limit int) (statement, []driver.Value) {
			return r.stream, []driver.Value{stream, int64(next), int64(end), int64(limit)}
		}
		c.advance = func(event eventlog.Recorded) error {
			if event.Revision != next {
				return fmt.Errorf("%w: revision %d of stream %s is missing; restore a backup", eventlog.ErrDamaged,
					next, stream)
			}
			next++
			return nil
		}
		c.all(ctx, "read stream "+stream, yield)
	}
}

// ReadAll implements eventlog.Log.
func (l *Log) ReadAll(ctx context.Context, after eventlog.Position, limit int) iter.Seq2[eventlog.Recorded, error] {
	return func(yield func(eventlog.Recorded, error) bool) {
		last := min(after, math.MaxInt64)
		c := &cursor{log: l, limit: limit, end: math.MaxInt64}
		c.query = func(r *reader, end eventlog.Position, limit int) (statement, []driver.Value) {
			return r.all, []driver.Value{int64(last), int64(end), int64(limit)}
		}
		c.advance = func(event eventlog.Recorded) error {
			if event.Position != last+1 {
				return fmt.Errorf("%w: position %s is missing from the log; restore a backup", eventlog.ErrDamaged,
					last+1)
			}
			last++
			return nil
		}
		c.all(ctx, "read after position "+after.String(), yield)
	}
}
