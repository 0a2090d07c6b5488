package engine

import (
	"context"
	"errors"
	"time"

	"github.com/google/uuid"

	"github.com/droverhq/drover/eventlog"
)

// checkpoint is the newest folded event. Each read starts with it. If the log was restored to an older state, or is
// another log, the read detects that before anything is decided on it.
type checkpoint struct {
	before eventlog.Position // of the previous event; a read after it starts with the checkpoint
	at     eventlog.Position // zero if nothing was folded yet
	id     uuid.UUID
	time   time.Time           // ids derive from the stream, so after a restore an event may get the same id again
	page   []eventlog.Recorded // buffer of the last page, for reuse
}

// errRewound means that the log does not have the checkpoint at its position.
var errRewound = errors.New("the log has lost events that were read from it")

// readNew passes the events after the checkpoint to take, page by page until the log has no more, and advances it.
func (c *checkpoint) readNew(ctx context.Context, log eventlog.Log, take func(page []eventlog.Recorded)) error {
	for {
		read, err := c.readOnce(ctx, log, take)
		if err != nil || read < pageSize {
			return err
		}
	}
}

// readOnce passes the events after the checkpoint to take, and returns their number. All pages come from one read, so
// that a log that reads ahead does so while a page is folded. A page is valid until take returns.
func (c *checkpoint) readOnce(ctx context.Context, log eventlog.Log, take func(page []eventlog.Recorded)) (read int,
	err error) {
	page, met := c.page[:0], c.at == 0
	hand := func() {
		take(page)
		for _, rec := range page {
			c.before, c.at, c.id, c.time = c.at, rec.Position, rec.ID, rec.Time
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
