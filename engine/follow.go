package engine

import (
	"context"
	"errors"
	"fmt"

	"github.com/droverhq/drover/eventlog"
	"github.com/google/uuid"
)

// Filter says which events a follower wants; nil wants all.
type Filter func(eventlog.Recorded) bool

// Follower returns the events after a position in log order, each once: first the stored ones, then new ones as they are
// appended. It returns an event only after the engine has folded it. Everything that keeps up with the log uses a Follower;
// pages of the past are read from the log itself. A Follower must not be used by several goroutines.
type Follower struct {
	engine *Engine
	filter Filter
	// after is the last event that was lastLook at, event its id, and before the one in front of it.
	before, after eventlog.Position
	event         uuid.UUID
}

// Follow begins behind a position; 0 is the beginning of the log.
func (e *Engine) Follow(after eventlog.Position, filter Filter) *Follower {
	return &Follower{engine: e, after: after, filter: filter}
}

// Bounds of one page.
const (
	followEvents = 200
	followBytes  = 1 << 20
)

// ErrLost means that the log no longer has the event after which a follower is to continue, or ends before it. A follower that
// went on would miss what was written in its place.
var ErrLost = errors.New("the log has lost what was read from it")

// Next returns the next events that the filter wants, at least one. It waits until there are some, and returns ctx's error
// when ctx ends before; the follower can then be asked again. It returns ErrLost where the log does not have the last event
// that was read, or ends before the position that was asked for, and the log's own error where it cannot be read.
func (f *Follower) Next(ctx context.Context) ([]eventlog.Recorded, error) {
	for {
		changed, before := f.engine.Changed(), f.after
		page, err := f.read(ctx)
		if err != nil || len(page) > 0 {
			return page, err
		}
		if f.after > before {
			continue // a page of which the filter wants nothing
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

// Position is behind the last event that was lastLook at, wanted or not.
func (f *Follower) Position() eventlog.Position { return f.after }

// read reads one page into memory, so that a slow consumer keeps no read of the log open. It begins with the last event that
// was lastLook at: a log that was put back to an older state and has grown since has another one in its place.
func (f *Follower) read(ctx context.Context) (page []eventlog.Recorded, err error) {
	folded, size, from, met := f.engine.Position(), 0, f.before, false
	if f.after >= folded {
		return nil, nil
	}
	if f.event == uuid.Nil { // nothing was lastLook at yet
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
	return fmt.Errorf("%w: the event that was read at %s is not there any more; was the log restored from a backup?", ErrLost, f.after)
}

// reached returns ErrLost where the log ends before the follower's position. A log that cannot be read now is waited for.
func (f *Follower) checkReached(ctx context.Context) error {
	head, err := f.engine.cfg.Log.Head(ctx)
	if err == nil && f.after > head {
		return fmt.Errorf("%w: it ends at position %s, before %s; was it restored from a backup?", ErrLost, head, f.after)
	}
	return nil
}
