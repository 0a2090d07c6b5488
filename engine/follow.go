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

// Follower hands out the events after a position in log order, each once, those that are there and those that come. It is
// the only way to consume the log. What it hands out is folded: the view has it, or has passed it. A Follower belongs to one
// goroutine.
type Follower struct {
	engine *Engine
	filter Filter
	// after is the last event that was looked at, event its id, and before the one in front of it.
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

// ErrBeyond means that a follower asks for what comes after a position that the log does not reach: the log has lost what
// stood there, and its next events would be missed.
var ErrBeyond = errors.New("the position is beyond the end of the log")

// Next returns the next events that the filter wants, at least one. It waits until there are some, and returns ctx's error
// when ctx ends before; the follower can then be asked again. It returns ErrBeyond where the log ends before the
// position that was asked for, and the log's own error where it cannot be read.
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
		if err := f.reached(ctx); err != nil {
			return nil, err
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// Position is behind the last event that was looked at, wanted or not.
func (f *Follower) Position() eventlog.Position { return f.after }

// read reads one page into memory, so that a slow consumer keeps no read of the log open.
func (f *Follower) read(ctx context.Context) (page []eventlog.Recorded, err error) {
	folded, size := f.engine.Position(), 0
	if f.after >= folded {
		return nil, nil
	}
	for rec, err := range f.engine.cfg.Log.ReadAll(ctx, f.after, followEvents) {
		switch {
		case err != nil:
			return nil, fmt.Errorf("read the log after position %s: %w", f.after, err)
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
	return page, nil
}

// reached returns ErrBeyond where the log ends before the follower's position. A log that cannot be read now is waited for.
func (f *Follower) reached(ctx context.Context) error {
	head, err := f.engine.cfg.Log.Head(ctx)
	if err == nil && f.after > head {
		return fmt.Errorf("%w: it ends at %s, before %s; was it restored from a backup?", ErrBeyond, head, f.after)
	}
	return nil
}
