package projections

import (
	"bytes"
	"time"

	"github.com/droverhq/drover/domain"
	"github.com/droverhq/drover/eventlog"
)

// ReceiptAge is how long the result of a command is remembered, measured by the wall-clock times in the log.
const ReceiptAge = 24 * time.Hour

// maxAdvance is the most that one event advances the age of receipts. If the clock of one server is days ahead, the
// others must not lose all receipts (law 7). In exchange, some receipts are kept longer than ReceiptAge.
const maxAdvance = time.Hour

var queuedType = domain.TypeName(domain.DeploymentQueued{})

// Receipt is the result of an accepted command.
type Receipt struct {
	Stream string
	// First is the id of the command's first event. It derives from the whole command, which distinguishes a repeat
	// from another command with the same idempotency key.
	First domain.ID
	// Type is the type of the first event. HasActor reports whether that event records an actor, as all events of
	// commands do since actors exist. A variable named actor is mistaken for one.
	Type     string
	HasActor bool `cbor:"Signed"`
	// Position is the position of the last event.
	Position eventlog.Position
	// Deployment is the deployment that the command queued; the zero id if it queued none.
	Deployment domain.ID
	at         time.Duration // on the clock of receipts.now
}

// receipts holds the results of commands by idempotency key, oldest first.
type receipts struct {
	byCommand map[domain.ID]Receipt
	order     []domain.ID
	now       time.Duration
}

func newReceipts() receipts { return receipts{byCommand: map[domain.ID]Receipt{}} }

// note records the command of an event. passed is how far the event advanced the log's time.
func (r *receipts) note(rec eventlog.Recorded, passed time.Duration) {
	r.now += min(passed, maxAdvance)
	command := domain.ID(rec.Command)
	if command.IsZero() {
		return
	}
	receipt, known := r.byCommand[command]
	if !known {
		receipt = Receipt{Stream: rec.Stream, First: domain.ID(rec.ID), Type: rec.Type, at: r.now}
		receipt.HasActor = bytes.Contains(rec.Data, []byte(`"actor":`))
		r.order = append(r.order, command)
	}
	receipt.Position = rec.Position
	if rec.Type == queuedType {
		receipt.Deployment = domain.ID(rec.ID)
	}
	r.byCommand[command] = receipt
	for len(r.order) > 0 && r.now-r.byCommand[r.order[0]].at > ReceiptAge {
		delete(r.byCommand, r.order[0])
		r.order = r.order[1:]
	}
}

// Receipt returns the result of the command with this idempotency key, if it was accepted within ReceiptAge.
func (v *View) Receipt(command domain.ID) (Receipt, bool) {
	r, ok := v.receipts.byCommand[command]
	return r, ok
}
