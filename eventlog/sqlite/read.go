package sqlite

import (
	"context"
	"database/sql"
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

// reads are the statements of the readers, prepared once for every connection.
type reads struct {
	head, all, stream *sql.Stmt
}

func (l *Log) prepareReads(ctx context.Context) (err error) {
	for statement, query := range map[**sql.Stmt]string{
		&l.reads.head: sqlHead, &l.reads.all: sqlAll, &l.reads.stream: sqlStream,
	} {
		if *statement, err = l.readers.PrepareContext(ctx, query); err != nil { //nolint:sqlclosecheck // lives as long as the log
			return err
		}
	}
	return nil
}

// cursor is a read under way: it fetches pages until limit or until the end that stood
// when the first page turned out not to be the last.
type cursor struct {
	log   *Log
	fetch func(ctx context.Context, end eventlog.Position, limit int) (*sql.Rows, error)
	// advance checks that an event is the next one and moves the cursor behind it.
	advance func(eventlog.Recorded) error
	// end bounds the read, so that it comes to one even if its consumer appends.
	end   eventlog.Position
	limit int // 0 is none
	read  int
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
	// A page is read to its end: a query that could be interrupted takes two goroutines, which cost more than it does.
	rows, err := c.fetch(context.WithoutCancel(ctx), c.end, want)
	if err != nil {
		return nil, false, explain(err)
	}
	events, more, err = c.collect(rows, want)
	c.read += len(events)
	more = more && (c.limit == 0 || c.read < c.limit)
	if err == nil && more && c.end == math.MaxInt64 {
		c.end, err = c.log.head(ctx)
	}
	return events, more, err
}

// collect reads events off rows until want are there or they fill a page, and closes
// rows, which ends the read transaction.
func (c *cursor) collect(rows *sql.Rows, want int) (events []eventlog.Recorded, full bool, err error) {
	defer rows.Close()
	bytes := 0
	for rows.Next() {
		event, err := scan(rows)
		if err == nil {
			err = c.advance(event)
		}
		if err != nil {
			return events, false, err
		}
		events = append(events, event)
		bytes += len(event.Data)
		if len(events) == want || bytes >= pageBytes {
			return events, true, nil
		}
	}
	if err := rows.Err(); err != nil {
		return events, false, explain(err)
	}
	return events, false, nil
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
		c.fetch = func(ctx context.Context, end eventlog.Position, limit int) (*sql.Rows, error) {
			return l.reads.stream.QueryContext(ctx, stream, int64(next), int64(end), limit)
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
		c.fetch = func(ctx context.Context, end eventlog.Position, limit int) (*sql.Rows, error) {
			return l.reads.all.QueryContext(ctx, int64(last), int64(end), limit)
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
