package engine

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"go.uber.org/zap"

	"github.com/droverhq/drover/domain"
	"github.com/droverhq/drover/eventlog"
	"github.com/droverhq/drover/projections"
)

// Consumer is work that follows the log and remembers how far it has come. Every server runs it; one at a time does the work.
//
// Its position is durable: it is a cursor beside the log, which names the last event that was handled. After a restart it
// goes on with exactly the next one. A cursor is advanced by comparing and swapping, so two servers never both advance it.
// A page that was handled and whose cursor could not be advanced, because the server died or was taken for dead, is
// handled again: a consumer must recognise by an event's id what it has done.
type Consumer struct {
	// Name is the cursor's key. It is never used for other work.
	Name string
	// Filter says which events are wanted.
	Filter Filter
	// Handle does the work for a page of events, in log order. After an error nothing of the page counts as handled.
	Handle func(ctx context.Context, page []eventlog.Recorded) error
}

// cursor is where a consumer stands, as it is stored.
type cursor struct {
	// Server does the work; another one takes over once it is gone.
	Server domain.ID `json:"server"`
	// Log is the id that the log went by.
	Log uuid.UUID `json:"log"`
	// After is the last event that was handled or passed over, Event its id, and Before the one in front of it.
	Before eventlog.Position `json:"before"`
	After  eventlog.Position `json:"after"`
	Event  uuid.UUID         `json:"event"`

	sequence int64 // of the item; 0: there is none
}

// takeOverEvery is how often a server looks whether it has to do another one's work.
const takeOverEvery = time.Second

// Consume runs a consumer until ctx ends or something fails: the log, the store, or Handle. A consumer that has no cursor yet
// begins with what happens from now on.
func (e *Engine) Consume(ctx context.Context, store eventlog.Store, c Consumer) error {
	for {
		at, mine, err := e.takeCursor(ctx, store, c)
		if err != nil {
			return fmt.Errorf("consumer %s: %w", c.Name, err)
		}
		if mine {
			if err := e.consume(ctx, store, c, at); !errors.As(err, new(*eventlog.Moved)) {
				return fmt.Errorf("consumer %s: %w", c.Name, err)
			}
			e.log.Warn("another server has taken a consumer over", zap.String("consumer", c.Name))
		}
		if err := sleep(ctx, takeOverEvery); err != nil {
			return err
		}
	}
}

// takeCursor makes this server the one that does the work, unless another one does.
func (e *Engine) takeCursor(ctx context.Context, store eventlog.Store, c Consumer) (at cursor, mine bool, err error) {
	cursors, err := store.Newest(ctx, eventlog.Cursors)
	if err != nil {
		return at, false, err
	}
	if item, there := cursors[c.Name]; there {
		if err := json.Unmarshal(item.Data, &at); err != nil {
			return at, false, fmt.Errorf("read its cursor: %w", err)
		}
		at.sequence = item.Sequence
	} else {
		at.After, at.Log = e.Position(), e.LogID()
	}
	if at.Server != e.cfg.Server && !at.Server.IsZero() && !e.gone(at.Server) {
		return at, false, nil
	}
	at.Server = e.cfg.Server
	at, err = e.advance(ctx, store, c.Name, at)
	if errors.As(err, new(*eventlog.Moved)) {
		return at, false, nil
	}
	return at, err == nil, err
}

// consume handles page after page. It returns *eventlog.Moved once another server has taken over.
func (e *Engine) consume(ctx context.Context, store eventlog.Store, c Consumer, at cursor) error {
	after, err := e.resumeAt(ctx, at)
	if err != nil {
		return err
	}
	f := e.Follow(after, c.Filter)
	for {
		page, err := f.Next(ctx)
		if err != nil {
			return err
		}
		if err := c.Handle(ctx, page); err != nil {
			return err
		}
		at.Log, at.Before, at.After, at.Event = e.LogID(), f.before, f.after, f.event
		if at, err = e.advance(ctx, store, c.Name, at); err != nil {
			return err
		}
	}
}

// advance stores a cursor in the place of the one that it came from. The same swap is repeated as long as nobody can say
// whether it was done; the answer to a repeat is exact.
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
		if !errors.Is(err, eventlog.ErrUnknownOutcome) || try == unknownTries || ctx.Err() != nil {
			return at, fmt.Errorf("store its cursor: %w", err)
		}
	}
}

// resumeAt is the position behind which the work goes on. A log that was put back to an older state does not have the
// cursor's event: then the work goes on behind the restore that a person has accepted.
func (e *Engine) resumeAt(ctx context.Context, at cursor) (eventlog.Position, error) {
	if at.Event == uuid.Nil {
		return at.After, nil
	}
	for rec, err := range e.cfg.Log.ReadAll(ctx, at.Before, 1) {
		if err != nil || rec.Position == at.After && rec.ID == at.Event {
			return at.After, err
		}
	}
	var restored eventlog.Position
	e.Read(func(v *projections.View) {
		for _, r := range v.Restores {
			if r.Was == domain.ID(at.Log) {
				restored = r.Position
			}
		}
	})
	if restored == 0 {
		return 0, fmt.Errorf("%w: it has handled event %s at position %s, which is not there", ErrDoubted, at.Event, at.After)
	}
	return restored, nil
}

// sleep waits for d or for the end of ctx, whose error it returns.
func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
