package engine

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"
	"go.uber.org/zap"

	"github.com/droverhq/drover/domain"
	"github.com/droverhq/drover/eventlog"
	"github.com/droverhq/drover/projections"
)

// ErrLostEvents means that a server or the agents of several machines remember events that this log does not have: the
// log was restored from a backup, or an old copy took over. No server decides anything until a person accepts the
// restore. What the agent of one machine remembers affects only that machine, see CheckAgentMemory.
var ErrLostEvents = errors.New("this log has lost events")

// lossReport is evidence that the log with this id has lost events. It is void once the log has another id.
type lossReport struct {
	log      uuid.UUID
	evidence string
	// ids are ids of the log that it has lost with its newest events. They are from accepted restores.
	ids []uuid.UUID
}

// maxLostIDs bounds how many lost ids are remembered. Each of them was accepted by a person.
const maxLostIDs = 32

// add adds a lost id.
func (l *lossReport) add(id uuid.UUID) {
	if len(l.ids) < maxLostIDs && !slices.Contains(l.ids, id) {
		l.ids = append(l.ids, id)
	}
}

// AgentMemory is what an agent remembers of the log.
type AgentMemory struct {
	Log uuid.UUID
	// OriginalID is the id with which the agent's log was created, or zero if unknown.
	OriginalID uuid.UUID
	// Revision and Event are the last event of its machine's stream that the agent knows. Event is zero if it knows
	// none.
	Revision eventlog.Revision
	Event    domain.ID
	// Successes maps each project to the PartEnded event of its last success on the machine.
	Successes map[string]domain.ID
	// Deployments maps each project to the deployment of that success.
	Deployments map[string]domain.ID
	// Earlier and EarlierDeployments are the same for projects without a success since the last accepted restore.
	Earlier            map[string]domain.ID
	EarlierDeployments map[string]domain.ID
	// LogSigned means that a server of this log has signed Log: the agent did not make it up.
	LogSigned bool
	// Received is when the agent connected: its memory is older. The zero value means now.
	Received ReadPoint
}

// ReportLostEvents stops this server from deciding because the log lacks the event in evidence. Other servers learn it
// from this server's lease.
func (e *Engine) ReportLostEvents(evidence string) { e.reportLoss(evidence) }

// reportLoss is ReportLostEvents with ids that the log has lost. Once a person accepts the restore, they are former ids
// of the log: what agents remember under them then no longer stops the servers.
func (e *Engine) reportLoss(evidence string, ids ...uuid.UUID) {
	e.mu.Lock()
	defer e.mu.Unlock()
	defer func() {
		for _, id := range ids {
			if id != uuid.Nil && id != e.logID() {
				e.loss.add(id)
			}
		}
	}()
	evidence = domain.OneLine(evidence) // it is shown, and it is a line of the lease
	if e.lostEvents() == nil {
		e.loss = lossReport{log: e.logID(), evidence: evidence}
		e.log.Error("the log has lost events; no decisions are made until you run `drover eventlog accept-restore`",
			zap.String("evidence", evidence))
	}
}

// LostEvents returns ErrLostEvents with its evidence if the log has lost events, else nil.
func (e *Engine) LostEvents() error {
	e.mu.RLock()
	defer e.mu.RUnlock()
	return e.lostEvents()
}

// lostEvents is LostEvents for a caller that holds mu.
func (e *Engine) lostEvents() error {
	if e.loss.evidence == "" || e.loss.log != e.logID() {
		return nil
	}
	return fmt.Errorf("%w: %s, but the log does not have it; was a backup restored, or did an old copy take over?",
		ErrLostEvents, e.loss.evidence)
}

// leaseContent returns the value of this server's lease: a counter, the wall-clock time for display, and evidence of
// lost events.
func (e *Engine) leaseContent(beat int64) []byte {
	text := strconv.FormatInt(beat, 10) + " " + e.cfg.Clock.Now().UTC().Format(time.RFC3339Nano)
	e.mu.RLock()
	defer e.mu.RUnlock()
	if e.lostEvents() != nil {
		text += "\n" + e.loss.log.String() + "\n" + e.loss.evidence + "\n" + textOf(e.loss.ids)
	}
	for _, line := range e.doubtLines(eventlog.MaxLeaseBytes - len(text)) {
		text += "\n" + line
	}
	return []byte(text)
}

func textOf(ids []uuid.UUID) string {
	texts := make([]string, len(ids))
	for i, id := range ids {
		texts[i] = id.String()
	}
	return strings.Join(texts, " ")
}

// idsOf parses what textOf returns, and ignores anything else.
func idsOf(text string) (ids []uuid.UUID) {
	for word := range strings.FieldsSeq(text) {
		if id, err := uuid.Parse(word); err == nil {
			ids = append(ids, id)
		}
	}
	return ids
}

// leaseTime returns the wall-clock time at which a lease was written. Leases of older versions do not have it.
func leaseTime(lease []byte) (time.Time, bool) {
	line, _, _ := strings.Cut(string(lease), "\n")
	_, text, _ := strings.Cut(line, " ")
	at, err := time.Parse(time.RFC3339Nano, text)
	return at, err == nil
}

// adoptLostEvents adopts evidence of lost events from the leases of other servers, so that no server decides while
// another one knows of the loss.
func (e *Engine) adoptLostEvents(leases map[uuid.UUID][]byte) {
	log := e.LogID().String()
	for _, value := range leases {
		value, _ := cutDoubts(string(value))
		if parts := strings.Split(value, "\n"); len(parts) >= 3 && parts[1] == log {
			e.reportLoss(parts[2], idsOf(strings.Join(parts[3:], " "))...)
		}
	}
}

// lostIDs returns the ids that a log had in one view, and does not have in another one. The caller holds mu.
func (e *Engine) lostIDs(before, now *projections.View) (ids []uuid.UUID) {
	for _, r := range before.Restores {
		if !slices.ContainsFunc(now.Restores, func(o projections.Restore) bool { return o.ID == r.ID }) {
			ids = append(ids, uuid.UUID(r.ID))
		}
	}
	return ids
}

// acceptance returns the command with the ids that the log has lost. Ids that servers know come first, because the
// agents of doubted machines may be wrong.
func (e *Engine) acceptance(c domain.AcceptRestore) domain.AcceptRestore {
	e.mu.RLock()
	defer e.mu.RUnlock()
	if e.lostEvents() != nil {
		for _, id := range e.loss.ids {
			c.Lost = append(c.Lost, domain.ID(id))
		}
	}
	for _, m := range doubtedMachines(e.view) {
		if log := e.view.DoubtOf(m).Log; !log.IsZero() && !slices.Contains(c.Except, m.Name) && !slices.Contains(c.Lost, log) &&
			len(c.Lost) < maxLostIDs {
			c.Lost = append(c.Lost, log)
		}
	}
	return c
}
