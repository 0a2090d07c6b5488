package projections

import (
	"bytes"
	"encoding/json"
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
	// Token is the token that the command was sent with; empty for agents, and for events without an actor.
	Token string
	// Position is the position of the last event.
	Position eventlog.Position
	// Deployment is the deployment that the command queued; the zero id if it queued none.
	Deployment domain.ID
	at         time.Duration // on the clock of receipts.now
}

// receiptKey identifies a receipt. Callers choose idempotency keys, and two of them can choose the same one.
type receiptKey struct {
	command domain.ID
	token   string
}

// receipts holds the results of commands by idempotency key and caller.
type receipts struct {
	byCommand map[domain.ID]Receipt  // of the first caller who used the key
	shared    map[receiptKey]Receipt // of further callers who used the same key
	order     []receiptKey           // oldest first
	now       time.Duration
}

func newReceipts() receipts {
	return receipts{byCommand: map[domain.ID]Receipt{}, shared: map[receiptKey]Receipt{}}
}

// note records the command of an event. passed is how far the event advanced the log's time.
func (r *receipts) note(rec eventlog.Recorded, passed time.Duration) {
	r.now += min(passed, maxAdvance)
	command := domain.ID(rec.Command)
	if command.IsZero() {
		return
	}
	hasActor := bytes.Contains(rec.Data, []byte(`"actor":`))
	key := receiptKey{command: command}
	if last := len(r.order) - 1; !hasActor && last >= 0 && r.order[last].command == command {
		key = r.order[last] // a further event of the same command
	} else if hasActor {
		key.token = tokenOf(rec.Data)
	}
	receipt, known := r.get(key)
	if !known {
		receipt = Receipt{Stream: rec.Stream, First: domain.ID(rec.ID), Type: rec.Type, HasActor: hasActor, Token: key.token,
			at: r.now}
		r.order = append(r.order, key)
	}
	receipt.Position = rec.Position
	if rec.Type == queuedType {
		receipt.Deployment = domain.ID(rec.ID)
	}
	r.put(key, receipt)
	r.removeOld()
}

// tokenOf returns the token of the actor in the data of an event, or an empty string.
func tokenOf(data []byte) string {
	var signed struct {
		Actor struct {
			Token string `json:"token"`
		} `json:"actor"`
	}
	if json.Unmarshal(data, &signed) != nil {
		return "" // a field of another meaning
	}
	return signed.Actor.Token
}

func (r *receipts) get(key receiptKey) (Receipt, bool) {
	if receipt, ok := r.byCommand[key.command]; ok && receipt.Token == key.token {
		return receipt, true
	}
	receipt, ok := r.shared[key]
	return receipt, ok
}

func (r *receipts) put(key receiptKey, receipt Receipt) {
	_, isShared := r.shared[key]
	if first, ok := r.byCommand[key.command]; isShared || ok && first.Token != key.token {
		r.shared[key] = receipt
		return
	}
	r.byCommand[key.command] = receipt
}

// removeOld removes the receipts that are older than ReceiptAge.
func (r *receipts) removeOld() {
	for len(r.order) > 0 {
		key := r.order[0]
		receipt, _ := r.get(key)
		if r.now-receipt.at <= ReceiptAge {
			return
		}
		if _, isShared := r.shared[key]; isShared {
			delete(r.shared, key)
		} else {
			delete(r.byCommand, key.command)
		}
		r.order = r.order[1:]
	}
}

// Receipt returns the result of the command that a caller sent with this idempotency key, if it was accepted within
// ReceiptAge. token identifies the caller; empty: an agent.
func (v *View) Receipt(command domain.ID, token string) (Receipt, bool) {
	return v.receipts.get(receiptKey{command, token})
}

// IsShared reports whether another caller than the holder of the token used the idempotency key first.
func (v *View) IsShared(command domain.ID, token string) bool {
	first, ok := v.receipts.byCommand[command]
	return ok && first.Token != token
}
