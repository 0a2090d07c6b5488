package postgres

import (
	"context"
	"fmt"
	"iter"
	"math"

	"github.com/jackc/pgx/v5"

	"github.com/droverhq/drover/eventlog"
)

// Bounds of one page: what is held in memory while its consumer works. The server sends
// whole pages, so the bytes are kept by asking for fewer events where they are large.
const (
	pageEvents = 1000
	pageBytes  = 1 << 20
)

// cursor is a read under way, over positions or over the revisions of a stream. It
// fetches pages until limit or until the end that stood when it began.
type cursor struct {
	log *Log
	// query reads the places from $1 to $2 whose position is not behind $3; more are its
	// further arguments.
	query string
	more  []any
	// place is where an event stands among what is read; lacks names a place that is empty.
	place func(eventlog.Recorded) int64
	lacks func(place int64) string
	next  int64 // the place to be read next
	end   int64 // the last position to be read, so that a consumer may append
	limit int   // 0 is none
	read  int
	page  int // how many events the next page may have
}

// fetch returns the next events; more says that there are others behind them.
func (c *cursor) fetch(ctx context.Context) (events []eventlog.Recorded, more bool, err error) {
	want := c.page
	if c.limit > 0 {
		want = min(want, c.limit-c.read)
	}
	err = c.log.ask(ctx, func(ctx context.Context) error {
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

// collect reads all events off rows, each of which must stand at the next place, and
// settles how many the next page may have.
func (c *cursor) collect(rows pgx.Rows, want int) (events []eventlog.Recorded, more bool, err error) {
	defer rows.Close()
	bytes, last := 0, int64(0)
	for rows.Next() {
		event, head, l, found, err := scan(rows)
		if err != nil {
			return events, false, err
		}
		c.end, last = min(c.end, head), l
		if !found {
			continue
		}
		if c.place(event) != c.next {
			return events, false, c.hole()
		}
		events = append(events, event)
		bytes += len(event.Data)
		c.next++
	}
	if err := rows.Err(); err != nil {
		return events, false, err
	}
	more = c.next <= min(last, c.lastPlace())
	if more && len(events) < want {
		return events, false, c.hole()
	}
	if len(events) > 0 {
		c.page = max(1, min(pageEvents, pageBytes/max(1, bytes/len(events))))
	}
	return events, more, nil
}

// lastPlace bounds a read over positions; that over revisions is bounded by what the
// query says of its stream.
func (c *cursor) lastPlace() int64 {
	if len(c.more) > 0 {
		return math.MaxInt64
	}
	return c.end
}

func (c *cursor) hole() error {
	return fmt.Errorf("%w: %s; restore a backup", eventlog.ErrDamaged, c.lacks(c.next))
}

// all yields all that the cursor has to read.
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

// firstPage is how many events are asked for before their size is known.
const firstPage = 200

// furthest is a place that no log reaches, with room behind it.
const furthest = math.MaxInt64 >> 1

// ReadStream yields events of one stream, see eventlog.Log.
func (l *Log) ReadStream(ctx context.Context, stream string, from eventlog.Revision, limit int) iter.Seq2[eventlog.Recorded, error] {
	return func(yield func(eventlog.Recorded, error) bool) {
		c := &cursor{
			log: l, limit: limit, end: math.MaxInt64, page: firstPage, query: l.queries.stream, more: []any{stream},
			next:  min(max(int64(from), 0), furthest),
			place: func(event eventlog.Recorded) int64 { return int64(event.Revision) },
			lacks: func(place int64) string { return fmt.Sprintf("stream %s lacks its revision %d", stream, place) },
		}
		c.all(ctx, "read stream "+stream, yield)
	}
}

// ReadAll yields events of the whole log, see eventlog.Log.
func (l *Log) ReadAll(ctx context.Context, after eventlog.Position, limit int) iter.Seq2[eventlog.Recorded, error] {
	return func(yield func(eventlog.Recorded, error) bool) {
		c := &cursor{
			log: l, limit: limit, end: math.MaxInt64, page: firstPage, query: l.queries.all,
			next:  int64(min(after, furthest)) + 1,
			place: func(event eventlog.Recorded) int64 { return int64(event.Position) },
			lacks: func(place int64) string { return fmt.Sprintf("position %d is missing from the log", place) },
		}
		c.all(ctx, "read after position "+after.String(), yield)
	}
}
