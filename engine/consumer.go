package engine

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"go.uber.org/zap"

	"github.com/droverhq/drover/domain"
	"github.com/droverhq/drover/eventlog"
	"github.com/droverhq/drover/internal/clock"
)

// Consumer is work that follows the log and stores how far it has come. Every server runs it, but only one at a time
// does the work.
//
// Its position is durable: a cursor beside the log names the last event that was handled or skipped, and a restart
// continues with the next one. If the log does not have that event, Consume fails with ErrLost. The cursor advances by
// compare-and-swap, so two servers never both advance it. If a server stops, or is considered gone, after it handled a
// page and before it advanced the cursor, the page is handled again. Handle must therefore be idempotent, by the ids of
// the events.
type Consumer struct {
	// Name is the key of the cursor. It must never be reused for other work.
	Name string
	// Filter selects the events to handle.
	Filter Filter
	// Handle processes a page of events in log order. If it returns an error, the whole page is handled again.
	Handle func(ctx context.Context, page []eventlog.Recorded) error
}

// cursor is the stored position of a consumer.
type cursor struct {
	// Server does the work. Another server takes over when it is gone.
	Server domain.ID `json:"server"`
	// After is the last event that was handled or skipped, Event its id, and Before the event in front of it.
	Before eventlog.Position `json:"before"`
	After  eventlog.Position `json:"after"`
	Event  uuid.UUID         `json:"event"`

	sequence int64 // of the stored item; 0 if none is stored
}

// takeOverEvery is how often a server checks whether it must take over the work.
const takeOverEvery = time.Second

// Consume runs a consumer until ctx ends or the log, the store or Handle fails. A new consumer starts with the next
// event that is appended. A server that must not decide, see Stopped, leaves the work to other servers.
func (e *Engine) Consume(ctx context.Context, store eventlog.Store, c Consumer) error {
	var seen holder
	for {
		if e.Stopped() == nil {
			err := e.consumeIfFree(ctx, store, c, &seen)
			if err != nil && !errors.Is(err, errTakenOver) && !errors.Is(err, errLeft) {
				return fmt.Errorf("consumer %s: %w", c.Name, err)
			}
			if err != nil {
				e.log.Warn("another server takes over a consumer", zap.String("consumer", c.Name), zap.Error(err))
			}
		}
		if err := clock.Sleep(ctx, takeOverEvery); err != nil {
			return err
		}
	}
}

// consumeIfFree handles pages, unless another server does the work of this consumer.
func (e *Engine) consumeIfFree(ctx context.Context, store eventlog.Store, c Consumer, seen *holder) error {
	at, mine, err := e.takeCursor(ctx, store, c, seen)
	if err != nil || !mine {
		return err
	}
	return e.consume(ctx, store, c, at)
}

// holder is the server that does a consumer's work, and since when this server has known that. If the holder has just
// started, this server may not have read its lease yet. The holder is therefore gone only if the leases were read since
// then.
type holder struct {
	server domain.ID
	since  time.Duration
}

// gone reports whether server, which holds the cursor, is gone.
func (h *holder) gone(e *Engine, server domain.ID) bool {
	if server != h.server {
		*h = holder{server, e.cfg.Clock.Elapsed()}
	}
	return e.gone(server, h.since)
}

// takeCursor makes this server the holder of the consumer's cursor, unless another server that is not gone holds it.
func (e *Engine) takeCursor(ctx context.Context, store eventlog.Store, c Consumer, seen *holder) (at cursor, mine bool,
	err error) {
	cursors, err := store.Newest(ctx, eventlog.Cursors)
	if err != nil {
		return at, false, err
	}
	if item, there := cursors[c.Name]; there {
		if err := json.Unmarshal(item.Data, &at); err != nil {
			return at, false, fmt.Errorf("decode the cursor: %w", err)
		}
		at.sequence = item.Sequence
	} else if at, err = e.cursorHere(ctx); err != nil {
		return at, false, err
	}
	if at.Server != e.cfg.Server && !at.Server.IsZero() && !seen.gone(e, at.Server) {
		return at, false, nil
	}
	at.Server = e.cfg.Server
	at, err = e.advance(ctx, store, c.Name, at)
	if errors.Is(err, errTakenOver) {
		return at, false, nil
	}
	return at, err == nil, err
}

// cursorHere returns a cursor at the last folded event.
func (e *Engine) cursorHere(ctx context.Context) (cursor, error) {
	if err := e.reads.take(ctx); err != nil { // no read runs meanwhile
		return cursor{}, err
	}
	defer e.reads.release()
	last := e.newest.folded()
	return cursor{Before: last.before, After: last.at, Event: last.id}, nil
}

var (
	errTakenOver = errors.New("another server has advanced the cursor")
	errLeft      = errors.New("this server must not decide")
)

// consume handles page after page until another server takes over. The follower starts with the cursor's event, and so
// detects a log without that event. Log and cursors must be restored from the same backup.
func (e *Engine) consume(ctx context.Context, store eventlog.Store, c Consumer, at cursor) error {
	f := e.Follow(at.After, c.Filter)
	f.before, f.event = at.Before, at.Event
	for {
		page, err := f.Next(ctx)
		if err != nil {
			return err
		}
		if e.Stopped() != nil {
			at.Server = domain.ID{} // so that another server need not wait until this one is gone
			_, err := e.advance(ctx, store, c.Name, at)
			return cmp.Or(err, errLeft)
		}
		if err := c.Handle(ctx, page); err != nil {
			return err
		}
		at.Before, at.After, at.Event = f.before, f.after, f.event
		if at, err = e.advance(ctx, store, c.Name, at); err != nil {
			return err
		}
	}
}

// advance replaces the stored cursor by compare-and-swap. While the outcome is unknown it repeats the same swap, which
// is safe: repeating a completed swap succeeds.
func (e *Engine) advance(ctx context.Context, store eventlog.Store, name string, at cursor) (cursor, error) {
	data, err := json.Marshal(at)
	if err != nil {
		return at, err
	}
	item := eventlog.Item{Key: name, Sequence: at.sequence + 1, Time: e.cfg.Clock.Now().UTC(), Data: data}
	for try := 1; ; try++ {
		err := store.Swap(ctx, eventlog.Cursors, item, at.sequence)
		if err == nil {
			at.sequence++
			return at, nil
		}
		if errors.As(err, new(*eventlog.SwapConflict)) {
			return at, errTakenOver
		}
		if !errors.Is(err, eventlog.ErrUnknownOutcome) || try == maxUnknownRetries || ctx.Err() != nil {
			return at, fmt.Errorf("store the cursor: %w", err)
		}
	}
}
