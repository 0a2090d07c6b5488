package engine

import (
	"context"
	"errors"
	"time"

	"github.com/google/uuid"

	"github.com/droverhq/drover/eventlog"
)

// mark identifies a folded event.
type mark struct {
	before eventlog.Position // of the previous event; a read after it starts with this one
	at     eventlog.Position // zero if nothing was folded yet
	id     uuid.UUID
	time   time.Time // ids derive from the stream, so after a restore an event may get the same id again
}

// next returns the mark of the event that follows.
func (m mark) next(rec eventlog.Recorded) mark {
	return mark{before: m.at, at: rec.Position, id: rec.ID, time: rec.Time}
}

// is reports whether rec is the event.
func (m mark) is(rec eventlog.Recorded) bool {
	return rec.Position == m.at && rec.ID == m.id && rec.Time.Equal(m.time)
}

// checkpoint is the newest event that was read. Each read starts with it. If the log was restored to an older state, or
// is another log, the read detects that before anything is decided on it.
type checkpoint struct {
	mark
	// own are the events after it that this server has appended and folded without reading them. The next read compares
	// them too.
	own  []mark
	page []eventlog.Recorded // buffer of the last page, for reuse
}

// folded returns the newest folded event.
func (c *checkpoint) folded() mark {
	if len(c.own) > 0 {
		return c.own[len(c.own)-1]
	}
	return c.mark
}

// maxOwn bounds the events that are folded between two reads.
const maxOwn = 100

// isNext reports whether events that were just appended, the last one at a position, follow the newest folded event and
// leave no room for others: n events are at the n positions after it. Positions grow with every event, and what is
// appended later is never at a position that a read has passed, so this holds for every log.
func (c *checkpoint) isNext(events int, last eventlog.Position) bool {
	at := c.folded().at
	//nolint:gosec // the number of events of an append is small
	return at > 0 && last == at+eventlog.Position(events) && len(c.own)+events <= maxOwn
}

// foldOwn passes events to take for which isNext holds.
func (c *checkpoint) foldOwn(page []eventlog.Recorded, take func(page []eventlog.Recorded)) {
	take(page)
	for _, rec := range page {
		c.own = append(c.own, c.folded().next(rec))
	}
}

// errRewound means that the log does not have the checkpoint at its position.
var errRewound = errors.New("the log has lost events that were read from it")

// readNew passes the events after the checkpoint to take, page by page until the log has no more, and advances it.
func (c *checkpoint) readNew(ctx context.Context, log eventlog.Log, take func(page []eventlog.Recorded)) error {
	for {
		read, err := c.readOnce(ctx, log, take)
		if err != nil || read < pageSize && len(c.own) == 0 {
			return err
		}
	}
}

// readOnce passes the events after the checkpoint to take, and returns their number. All pages come from one read, so
// that a log that reads ahead does so while a page is folded. A page is valid until take returns.
func (c *checkpoint) readOnce(ctx context.Context, log eventlog.Log, take func(page []eventlog.Recorded)) (read int,
	err error) {
	page, met, owned := c.page[:0], c.at == 0, len(c.own)
	hand := func() {
		take(page)
		for _, rec := range page {
			c.mark = c.next(rec)
		}
		read += len(page)
		clear(page) // release the events before the next page arrives
		c.page, page = page, page[:0]
	}
	for rec, err := range log.ReadAll(ctx, c.before, 0) {
		switch {
		case err != nil:
			hand()
			return read, err
		case rec.Position < c.at: // delivered again
		case !met && c.is(rec):
			met = true
		case !met || len(c.own) > 0 && !c.own[0].is(rec):
			return read, errRewound
		case len(c.own) > 0:
			c.mark, c.own = c.own[0], c.own[1:]
		default:
			if page = append(page, rec); len(page) == pageSize {
				hand()
			}
		}
	}
	if !met || len(c.own) > 0 && len(c.own) == owned { // a read that ended early has found some of them; the next one continues
		return read, errRewound
	}
	hand()
	return read, nil
}
