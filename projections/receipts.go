package projections

import (
	"bytes"
	"time"

	"github.com/droverhq/drover/domain"
	"github.com/droverhq/drover/eventlog"
)

// ReceiptAge is how long the answer to a command is remembered, by the log's own wall clocks.
const ReceiptAge = 24 * time.Hour

// maxAdvance is the most that one event moves the time by which receipts age. The clock of one server that is days ahead must
// not let all servers forget what they have done (law 7); what it costs is that some answers are remembered for longer.
const maxAdvance = time.Hour

var queuedType = domain.TypeName(domain.DeploymentQueued{})

// Receipt is what an accepted command came to.
type Receipt struct {
	Stream string
	// First is the id of the command's first event; it derives from the whole command, so
	// another command under the same id is told from a repeat.
	First domain.ID
	// Type is the type of its first event, and Signed says that this event records an actor, as those of commands do since there
	// are actors. A variable with the name actor passes for one.
	Type     string
	HasActor bool `cbor:"Signed"`
	// Position is that of its last event.
	Position eventlog.Position
	// Deployment is the one that the command queued; the zero id if it queued none.
	Deployment domain.ID
	at         time.Duration // on the clock of receipts
}

// receipts remembers commands by the ids their senders chose, oldest first.
type receipts struct {
	byCommand map[domain.ID]Receipt
	order     []domain.ID
	now       time.Duration
}

func newReceipts() receipts { return receipts{byCommand: map[domain.ID]Receipt{}} }

// note remembers what an event says of its command. passed is by how much the log's time has moved with it.
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

// Receipt finds what a command came to, if it was accepted within ReceiptAge.
func (v *View) Receipt(command domain.ID) (Receipt, bool) {
	r, ok := v.receipts.byCommand[command]
	return r, ok
}
