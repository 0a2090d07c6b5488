package engine

import (
	"context"
	"errors"

	"github.com/google/uuid"

	"github.com/droverhq/drover/eventlog"
)

// witness is the newest event that was folded. Each read begins with it, so that a log which was put back to an
// older state, or is another one, is noticed before anything is decided on it.
type witness struct {
	before eventlog.Position // of the event before; a read after it begins with the witness
	at     eventlog.Position // zero: nothing was folded yet
	id     uuid.UUID
	page   []eventlog.Recorded // the last one's room
}

// errRewound means that the log does not have the witness where it was.
var errRewound = errors.New("the log has lost what was read from it")

// readOn hands over page by page what stands behind the witness, until the log has no more, and moves it along.
func (w *witness) readOn(ctx context.Context, log eventlog.Log, take func(page []eventlog.Recorded)) error {
	for {
		page, err := w.read(ctx, log)
		take(page)
		for _, rec := range page {
			w.before, w.at, w.id = w.at, rec.Position, rec.ID
		}
		if err != nil || len(page) < pageSize {
			return err
		}
	}
}

// read returns a page of what stands behind the witness, good until the next one. A page shorter than pageSize is the last one.
func (w *witness) read(ctx context.Context, log eventlog.Log) (page []eventlog.Recorded, err error) {
	limit, met := pageSize, w.at == 0
	page = w.page[:0]
	defer func() { w.page = page[:0] }()
	if !met {
		limit++
	}
	for rec, err := range log.ReadAll(ctx, w.before, limit) {
		switch {
		case err != nil:
			return page, err
		case rec.Position < w.at: // delivered once more
		case met:
			page = append(page, rec)
		case rec.Position != w.at || rec.ID != w.id:
			return nil, errRewound
		default:
			met = true
		}
	}
	if !met {
		return nil, errRewound
	}
	return page, nil
}
