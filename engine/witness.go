package engine

import (
	"context"
	"fmt"

	"go.uber.org/zap"

	"github.com/droverhq/drover/domain"
	"github.com/droverhq/drover/eventlog"
)

// Witness remembers the last event that this server has read from the log, between runs of the server. At the next
// start it shows whether the log has lost acknowledged events, for example because its file was damaged.
type Witness interface {
	// Seen returns what earlier runs have recorded. It may return several events; the log must have each of them.
	Seen() []eventlog.Seen
	// Record stores an event that is durable in the log, in place of an earlier one. It is called after each read that
	// returned events and after own appends, before the commands that caused them are acknowledged.
	Record(eventlog.Seen)
}

// checkSeen looks for the events that earlier runs of a server have seen: those of the witness, and the last event of a
// snapshot. If the log does not have one of them, and no restore was accepted since, it has lost events.
func (e *Engine) checkSeen(ctx context.Context, s *snapshot) error {
	for _, seen := range e.seenBefore(s) {
		if e.view.World().Restored(domain.ID(seen.Log)) {
			continue
		}
		switch found, err := seen.Has(ctx, e.cfg.Log); {
		case err != nil:
			return fmt.Errorf("look for event %s, which an earlier run has read: %w", domain.ID(seen.ID), err)
		case !found:
			e.reportLoss(fmt.Sprintf("an earlier run of a server has read event %s at position %s",
				domain.ID(seen.ID), seen.Position), seen.Log)
			e.log.Error("the log ends before the last event that an earlier run of a server has read",
				zap.Stringer("head", e.newest.at), zap.Stringer("read", seen.Position))
		}
	}
	return nil
}

// seenBefore returns the events that the log must have. The log is known to have the last event of a snapshot from which
// this run continues.
func (e *Engine) seenBefore(s *snapshot) (all []eventlog.Seen) {
	if e.cfg.Witness != nil {
		all = append(all, e.cfg.Witness.Seen()...)
	}
	if s != nil && e.resumed == 0 {
		all = append(all, eventlog.Seen{Log: s.Log, Before: s.Before, Position: s.At, ID: s.ID, Time: s.Time})
	}
	return all
}

// recordPage records the last event of a page that was just folded. The caller holds reads.turn, and the newest folded
// event is still the one before the page.
func (e *Engine) recordPage(page []eventlog.Recorded) {
	last, before := page[len(page)-1], e.newest.folded().at
	if len(page) > 1 {
		before = page[len(page)-2].Position
	}
	e.recordSeen(eventlog.Seen{Before: before, Position: last.Position, ID: last.ID, Time: last.Time})
}

// recordSeen records an event under the current id of the log. While the log is being opened, its events have not been
// compared with the witness yet. While it has lost events, the evidence of that must not be replaced.
func (e *Engine) recordSeen(seen eventlog.Seen) {
	if e.cfg.Witness == nil || !e.opened || seen.Position == 0 {
		return
	}
	e.mu.RLock()
	seen.Log = e.logID()
	lost := e.lostEvents() != nil
	e.mu.RUnlock()
	if !lost {
		e.cfg.Witness.Record(seen)
	}
}
