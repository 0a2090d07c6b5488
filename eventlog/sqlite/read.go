package sqlite

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"iter"
	"math"

	"github.com/droverhq/drover/eventlog"
)

// Bounds of one page: what is held in memory while its consumer works.
const (
	pageEvents = 1000
	pageBytes  = 1 << 20
)

// cursor is a read under way: it fetches pages until limit or until the end that stood
// when the first page turned out not to be the last.
type cursor struct {
	log   *Log
	query func(r *reader, end eventlog.Position, limit int) (statement, []driver.Value)
	// advance checks that an event is the next one and moves the cursor behind it.
	advance func(eventlog.Recorded) error
	// end bounds the read, so that it comes to one even if its consumer appends.
	end   eventlog.Position
	limit int // 0 is none
	read  int
	room  int // that the page before took
}

// page returns the next events; more says that there may be others behind them.
func (c *cursor) page(ctx context.Context) (events []eventlog.Recorded, more bool, err error) {
	if err := c.log.ready(ctx); err != nil {
		return nil, false, err
	}
	want := pageEvents
	if c.limit > 0 {
		want = min(want, c.limit-c.read)
	}
	err = c.log.lend(ctx, func(r *reader) (err error) {
		events, more, err = c.collect(ctx, r, want)
		c.read += len(events)
		c.room = len(events)
		more = more && (c.limit == 0 || c.read < c.limit)
		if err == nil && more && c.end == math.MaxInt64 {
			c.end, err = r.end(ctx)
		}
		return err
	})
	return events, more, explain(err)
}

// errPageFull ends a page that has all it may hold.
var errPageFull = errors.New("page is full")

// collect reads events until want are there or they fill a page. No read transaction is left behind.
func (c *cursor) collect(ctx context.Context, r *reader, want int) (events []eventlog.Recorded, full bool, err error) {
	bytes := 0
	events = make([]eventlog.Recorded, 0, min(c.room, want))
	take := func(found []driver.Value) error {
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
	// A page is read to its end: a query that could be interrupted takes two goroutines, which cost more than it does. Where
	// another connection holds the file, that may last as long as the busy time-out.
	err = query.eachUntil(context.WithoutCancel(ctx), take, values...)
	if full = errors.Is(err, errPageFull); full {
		err = nil
	}
	return events, full, err
}

// all yields all that the cursor has to read.
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

// ReadStream yields events of one stream, see eventlog.Log.
func (l *Log) ReadStream(ctx context.Context, stream string, from eventlog.Revision, limit int) iter.Seq2[eventlog.Recorded, error] {
	return func(yield func(eventlog.Recorded, error) bool) {
		next := max(from, 0)
		c := &cursor{log: l, limit: limit, end: math.MaxInt64}
		c.query = func(r *reader, end eventlog.Position, limit int) (statement, []driver.Value) {
			return r.stream, []driver.Value{stream, int64(next), int64(end), int64(limit)}
		}
		c.advance = func(event eventlog.Recorded) error {
			if event.Revision != next {
				return fmt.Errorf("%w: stream %s lacks its revision %d; restore a backup", eventlog.ErrDamaged, stream, next)
			}
			next++
			return nil
		}
		c.all(ctx, "read stream "+stream, yield)
	}
}

// ReadAll yields events of the whole log, see eventlog.Log.
func (l *Log) ReadAll(ctx context.Context, after eventlog.Position, limit int) iter.Seq2[eventlog.Recorded, error] {
	return func(yield func(eventlog.Recorded, error) bool) {
		last := min(after, math.MaxInt64)
		c := &cursor{log: l, limit: limit, end: math.MaxInt64}
		c.query = func(r *reader, end eventlog.Position, limit int) (statement, []driver.Value) {
			return r.all, []driver.Value{int64(last), int64(end), int64(limit)}
		}
		c.advance = func(event eventlog.Recorded) error {
			if event.Position != last+1 {
				return fmt.Errorf("%w: position %s is missing from the log; restore a backup", eventlog.ErrDamaged, last+1)
			}
			last++
			return nil
		}
		c.all(ctx, "read after position "+after.String(), yield)
	}
}
