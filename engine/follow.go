package engine

import (
	"context"
	"errors"
	"fmt"

	"github.com/droverhq/drover/eventlog"
	"github.com/google/uuid"
)

// Filter selects the events that a follower returns. A nil Filter selects all.
type Filter func(eventlog.Recorded) bool

// Follower returns the events after a position in log order, each once: first the stored ones, then new ones as they
// are appended. It returns an event only after the engine has folded it. Everything that keeps up with the log uses a
// Follower. A Follower must not be used by several goroutines at once.
type Follower struct {
	engine *Engine
	filter Filter
	// after is the last event that was examined, event its id, and before the event in front of it.
	before, after eventlog.Position
	event         uuid.UUID
}

// Follow returns a follower that starts after a position; 0 is the beginning of the log.
func (e *Engine) Follow(after eventlog.Position, filter Filter) *Follower {
	return &Follower{engine: e, after: after, filter: filter}
}

// Limits of one page.
const (
	followEvents = 200
	followBytes  = 1 << 20
)

// ErrLost means that the log no longer has the event after which a follower continues, or ends before it. The follower
// stops, because it would miss the events that replaced the lost ones.
var ErrLost = errors.New("the log has lost events that were read from it")

// Next returns the next events that the filter selects, at least one. It waits for them, or returns ctx's error; it may
// then be called again. It returns ErrLost if the log does not have the last event that was read, or ends before the
// requested position. Other errors are those of the log.
func (f *Follower) Next(ctx context.Context) ([]eventlog.Recorded, error) {
	for {
		changed, before := f.engine.Changed(), f.after
		page, err := f.read(ctx)
		if err != nil || len(page) > 0 {
			return page, err
		}
		if f.after > before {
			continue // the filter selects nothing of this page
		}
		if err := f.checkReached(ctx); err != nil {
			return nil, err
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// Position returns the position of the last examined event, whether or not the filter selected it.
func (f *Follower) Position() eventlog.Position { return f.after }

// read reads one page into memory, so that a slow consumer does not keep a read of the log open. The read starts with
// the last examined event: a restored log that has grown since has another event in its place.
func (f *Follower) read(ctx context.Context) (page []eventlog.Recorded, err error) {
	folded, size, from, met := f.engine.Position(), 0, f.before, false
	if f.after >= folded {
		return nil, nil
	}
	if f.event == uuid.Nil { // nothing was examined yet
		from, met = f.after, true
	}
	for rec, err := range f.engine.cfg.Log.ReadAll(ctx, from, followEvents) {
		switch {
		case err != nil:
			return nil, fmt.Errorf("read the log after position %s: %w", f.after, err)
		case !met && (rec.Position != f.after || rec.ID != f.event):
			return nil, f.lost()
		case !met:
			met = true
			continue
		case rec.Position > folded:
			return page, nil
		}
		f.before, f.after, f.event = f.after, rec.Position, rec.ID
		if f.filter == nil || f.filter(rec) {
			page = append(page, rec)
		}
		if size += len(rec.Data); size > followBytes {
			return page, nil
		}
	}
	if !met {
		return nil, f.lost()
	}
	return page, nil
}

func (f *Follower) lost() error {
	return fmt.Errorf("%w: the event at position %s is missing; was the log restored from a backup?", ErrLost, f.after)
}

// checkReached returns ErrLost if the log ends before the follower's position. If the log is unavailable, the
// follower waits for it.
func (f *Follower) checkReached(ctx context.Context) error {
	head, err := f.engine.cfg.Log.Head(ctx)
	if err == nil && f.after > head {
		return fmt.Errorf("%w: it ends at #%s, before #%s; was it restored from a backup?", ErrLost, head,
			f.after)
	}
	return nil
}
