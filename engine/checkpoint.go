package engine

import (
	"context"
	"errors"
	"time"

	"github.com/google/uuid"

	"github.com/droverhq/drover/eventlog"
)

// witness is the newest event that was folded. Each read begins with it, so that a log which was put back to an
// older state, or is another one, is noticed before anything is decided on it.
type checkpoint struct {
	before eventlog.Position // of the event before; a read after it begins with the witness
	at     eventlog.Position // zero: nothing was folded yet
	id     uuid.UUID
	time   time.Time           // ids of reports and decisions derive from their own stream: after a restore one may be given again
	page   []eventlog.Recorded // the last one's room
}

// errRewound means that the log does not have the witness where it was.
var errRewound = errors.New("the log has lost what was read from it")

// readNew hands over page by page what stands behind the witness, until the log has no more, and moves it along.
func (c *checkpoint) readNew(ctx context.Context, log eventlog.Log, take func(page []eventlog.Recorded)) error {
	for {
		read, err := c.readPage(ctx, log, take)
		if err != nil || read < pageSize {
			return err
		}
	}
}

// read hands over what stands behind the witness when it begins, or more, and counts it. All of it is one read, so that a
// log which reads ahead does so while a page is folded; a page is good until the next one.
func (c *checkpoint) readPage(ctx context.Context, log eventlog.Log, take func(page []eventlog.Recorded)) (read int, err error) {
	page, met := c.page[:0], c.at == 0
	hand := func() {
		take(page)
		for _, rec := range page {
			c.before, c.at, c.id, c.time = c.at, rec.Position, rec.ID, rec.Time
		}
		read += len(page)
		clear(page) // what an event holds is not kept until the next one comes
		c.page, page = page, page[:0]
	}
	for rec, err := range log.ReadAll(ctx, c.before, 0) {
		switch {
		case err != nil:
			hand()
			return read, err
		case rec.Position < c.at: // delivered once more
		case met:
			if page = append(page, rec); len(page) == pageSize {
				hand()
			}
		case rec.Position != c.at || rec.ID != c.id || !rec.Time.Equal(c.time):
			return read, errRewound
		default:
			met = true
		}
	}
	if !met {
		return read, errRewound
	}
	hand()
	return read, nil
}
