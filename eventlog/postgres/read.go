package postgres

import (
	"context"
	"fmt"
	"iter"
	"math"

	"github.com/jackc/pgx/v5"

	"github.com/droverhq/drover/eventlog"
)

// Limits of one page, which is in memory while its consumer works. The server sends whole pages. To limit the bytes,
// the next page requests fewer events if the last ones were large.
const (
	pageEvents = 1000
	pageBytes  = 1 << 20
)

// cursor is a read in progress, over positions or over the revisions of a stream. It fetches pages up to limit, or up
// to the head of the log when the read began.
type cursor struct {
	log *Log
	// query reads the places from $1 to $2 whose position is at most $3. more are its further arguments.
	query string
	more  []any
	// place returns the place of an event: its position or its revision. missing describes an empty place.
	place   func(eventlog.Recorded) int64
	missing func(place int64) string
	next    int64 // the next place to read
	end     int64 // the last position to read, so that the read ends even if its consumer appends
	limit   int   // 0 means no limit
	read    int
	page    int // the largest number of events in the next page
}

// fetch returns the next events and whether more follow.
func (c *cursor) fetch(ctx context.Context) (events []eventlog.Recorded, more bool, err error) {
	want := c.page
	if c.limit > 0 {
		want = min(want, c.limit-c.read)
	}
	err = c.log.do(ctx, func(ctx context.Context) error {
		arguments := append([]any{c.next, c.next + int64(want) - 1, c.end}, c.more...)
		rows, err := c.log.readers.Query(ctx, c.query, arguments...)
		if err == nil {
			events, more, err = c.collect(rows, want)
		}
		return err
	})
	c.read += len(events)
	return events, more && (c.limit == 0 || c.read < c.limit), err
}

// collect reads all events from rows. Each must be at the next place. It also sets the size of the next page.
func (c *cursor) collect(rows pgx.Rows, want int) (events []eventlog.Recorded, more bool, err error) {
	defer rows.Close()
	bytes, last, supported := 0, int64(0), false
	for rows.Next() {
		supported = true
		event, head, l, found, err := scan(rows)
		if err != nil {
			return events, false, err
		}
		c.end, last = min(c.end, head), l
		if !found {
			continue
		}
		if c.place(event) != c.next {
			return events, false, c.gap()
		}
		events = append(events, event)
		bytes += len(event.Data)
		c.next++
	}
	if err := rows.Err(); err != nil {
		return events, false, err
	}
	if !supported {
		return nil, false, errMigrated
	}
	more = c.next <= min(last, c.lastPlace())
	if more && len(events) < want {
		return events, false, c.gap()
	}
	if len(events) > 0 {
		c.page = max(1, min(pageEvents, pageBytes/max(1, bytes/len(events))))
	}
	return events, more, nil
}

// lastPlace limits a read over positions. A read over revisions is limited by the last revision in the result of its
// query.
func (c *cursor) lastPlace() int64 {
	if len(c.more) > 0 {
		return math.MaxInt64
	}
	return c.end
}

func (c *cursor) gap() error {
	return fmt.Errorf("%w: %s; restore a backup", eventlog.ErrDamaged, c.missing(c.next))
}

// all yields all events of the cursor.
func (c *cursor) all(ctx context.Context, what string, yield func(eventlog.Recorded, error) bool) {
	if err := eventlog.CheckLimit(c.limit); err != nil {
		yield(eventlog.Recorded{}, fmt.Errorf("%s: %w", what, err))
		return
	}
	eventlog.ReadAhead(ctx, c.fetch, func(event eventlog.Recorded, err error) bool {
		if err != nil {
			err = fmt.Errorf("%s: %w", what, err)
		}
		return yield(event, err)
	})
}

// firstPage is the number of events in the first page, before their size is known.
const firstPage = 200

// maxPlace is a place that no log reaches. Adding to it does not overflow.
const maxPlace = math.MaxInt64 >> 1

// ReadStream implements eventlog.Log.
func (l *Log) ReadStream(ctx context.Context, stream string, from eventlog.Revision,
	limit int) iter.Seq2[eventlog.Recorded, error] {
	return func(yield func(eventlog.Recorded, error) bool) {
		c := &cursor{
			log: l, limit: limit, end: math.MaxInt64, page: firstPage, query: l.queries.stream, more: []any{stream},
			next:  min(max(int64(from), 0), maxPlace),
			place: func(event eventlog.Recorded) int64 { return int64(event.Revision) },
			missing: func(place int64) string {
				return fmt.Sprintf("revision %d of stream %s is missing", place,
					stream)
			},
		}
		c.all(ctx, "read stream "+stream, yield)
	}
}

// ReadAll implements eventlog.Log.
func (l *Log) ReadAll(ctx context.Context, after eventlog.Position, limit int) iter.Seq2[eventlog.Recorded, error] {
	return func(yield func(eventlog.Recorded, error) bool) {
		c := &cursor{
			log: l, limit: limit, end: math.MaxInt64, page: firstPage, query: l.queries.all,
			next:    int64(min(after, maxPlace)) + 1,
			place:   func(event eventlog.Recorded) int64 { return int64(event.Position) },
			missing: func(place int64) string { return fmt.Sprintf("position %d is missing from the log", place) },
		}
		c.all(ctx, "read after position "+after.String(), yield)
	}
}
