package projections

import (
	"time"

	"github.com/droverhq/drover/domain"
	"github.com/droverhq/drover/eventlog"
)

// ReceiptAge is how long the answer to a command is remembered, by the log's own wall clocks.
const ReceiptAge = 24 * time.Hour

var queuedType = domain.TypeName(domain.DeploymentQueued{})

// Receipt is what an accepted command came to.
type Receipt struct {
	Stream string
	// First is the id of the command's first event; it derives from the whole command, so
	// another command under the same id is told from a repeat.
	First domain.ID
	// Position is that of its last event.
	Position eventlog.Position
	// Deployment is the one that the command queued; the zero id if it queued none.
	Deployment domain.ID
	time       time.Time
}

// receipts remembers commands by the ids their senders chose, oldest first.
type receipts struct {
	byCommand map[domain.ID]Receipt
	order     []domain.ID
}

func newReceipts() receipts { return receipts{byCommand: map[domain.ID]Receipt{}} }

func (r *receipts) note(rec eventlog.Recorded, now time.Time) {
	command := domain.ID(rec.Command)
	if command.IsZero() {
		return
	}
	receipt, known := r.byCommand[command]
	if !known {
		receipt = Receipt{Stream: rec.Stream, First: domain.ID(rec.ID), time: rec.Time}
		r.order = append(r.order, command)
	}
	receipt.Position = rec.Position
	if rec.Type == queuedType {
		receipt.Deployment = domain.ID(rec.ID)
	}
	r.byCommand[command] = receipt
	for len(r.order) > 0 && now.Sub(r.byCommand[r.order[0]].time) > ReceiptAge {
		delete(r.byCommand, r.order[0])
		r.order = r.order[1:]
	}
}

// Receipt finds what a command came to, if it was accepted within ReceiptAge.
func (v *View) Receipt(command domain.ID) (Receipt, bool) {
	r, ok := v.receipts.byCommand[command]
	return r, ok
}
