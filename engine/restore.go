package engine

import (
	"context"
	"errors"
	"fmt"
	"maps"
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

// ErrLostEvents means that a server or an agent remembers events that this log does not have: the log was restored from
// a backup, or an old copy took over. No server decides anything until a person accepts the restore.
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
		if parts := strings.Split(string(value), "\n"); len(parts) >= 3 && parts[1] == log {
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

// acceptance returns the command with the ids that the log has lost.
func (e *Engine) acceptance(c domain.AcceptRestore) domain.AcceptRestore {
	e.mu.RLock()
	defer e.mu.RUnlock()
	if e.lostEvents() != nil {
		for _, id := range e.loss.ids {
			c.Lost = append(c.Lost, domain.ID(id))
		}
	}
	return c
}

// CheckAgentMemory compares what a machine's agent remembers with the log. It ignores the memory of a log that was
// created elsewhere: the agent has moved here from another cluster. If the memory is about the log under its current
// id, a missing event is evidence of lost events. If it is from before an accepted restore, the machine is held for
// each project whose last success the log has lost.
func (e *Engine) CheckAgentMemory(ctx context.Context, machine string, m AgentMemory) error {
	if m.Log == uuid.Nil || m.OriginalID != uuid.Nil && m.OriginalID != e.made {
		return nil
	}
	if err := e.CatchUpTo(ctx, m.Received); err != nil {
		return err
	}
	switch e.classifyID(m.Log) {
	case formerID:
		return e.holdLostSuccesses(ctx, machine, m.withEarlier())
	case unknownID:
		e.reportLoss(fmt.Sprintf("the agent of machine %s remembers log id %s", machine, m.Log), m.Log)
		return nil
	}
	missing, err := e.missingEvent(ctx, machine, m)
	if missing != "" {
		e.ReportLostEvents(fmt.Sprintf("the agent of machine %s remembers %s", machine, missing))
	}
	return err
}

// withEarlier returns a memory whose successes include the earlier ones. While the log has the id that the agent knows,
// these are no evidence: a person has accepted that the log may have lost them.
func (m AgentMemory) withEarlier() AgentMemory {
	successes, deployments := maps.Clone(m.Successes), maps.Clone(m.Deployments)
	if successes == nil {
		successes, deployments = map[string]domain.ID{}, map[string]domain.ID{}
	}
	for project, success := range m.Earlier {
		if _, newer := successes[project]; !newer {
			successes[project], deployments[project] = success, m.EarlierDeployments[project]
		}
	}
	m.Successes, m.Deployments = successes, deployments
	return m
}

// idEpoch classifies an id of the log.
type idEpoch int

const (
	unknownID idEpoch = iota
	formerID          // the log had this id until a restore was accepted
	currentID
)

func (e *Engine) classifyID(id uuid.UUID) (found idEpoch) {
	e.Read(func(v *projections.View) {
		switch {
		case id == e.logID():
			found = currentID
		case v.World().Restored(domain.ID(id)):
			found = formerID
		}
	})
	return found
}

// missingEvent describes an event that a machine remembers and the log does not have, or returns an empty string.
func (e *Engine) missingEvent(ctx context.Context, machine string, m AgentMemory) (missing string, err error) {
	lost, err := e.lostSuccesses(ctx, machine, m)
	if err != nil {
		return "", err
	}
	// Without its deployment a success cannot be looked up. Only the last two successes are in the view.
	lost = slices.DeleteFunc(lost, func(project string) bool { return m.Deployments[project].IsZero() })
	if len(lost) > 0 {
		return "its success " + m.Successes[lost[0]].String() + " for project " + lost[0], nil
	}
	if m.Event.IsZero() {
		return "", nil
	}
	stream := domain.MachineStream(machine)
	missing = fmt.Sprintf("event %s at revision %d of %s", m.Event, m.Revision, stream)
	for rec, err := range e.cfg.Log.ReadStream(ctx, stream, m.Revision, 1) {
		if err != nil || domain.ID(rec.ID) == m.Event {
			return "", err
		}
	}
	return missing, nil
}

// lostSuccesses returns the projects, sorted, whose last success on the machine is not in the log.
func (e *Engine) lostSuccesses(ctx context.Context, machine string, m AgentMemory) (projects []string, err error) {
	e.Read(func(v *projections.View) {
		for project, success := range m.Successes {
			if !v.IsRecentSuccess(machine, project, success) {
				projects = append(projects, project)
			}
		}
	})
	slices.Sort(projects)
	projects = slices.DeleteFunc(projects, func(project string) bool {
		there, failure := e.logHas(ctx, domain.PartStream(m.Deployments[project], machine), m.Successes[project])
		err = errors.Join(err, failure)
		return there
	})
	return projects, err
}

// logHas looks up an event in its stream. The view has only the newest successes, and a machine whose disk was restored
// from a snapshot remembers an older one.
func (e *Engine) logHas(ctx context.Context, stream string, event domain.ID) (bool, error) {
	for rec, err := range e.cfg.Log.ReadStream(ctx, stream, 0, 0) {
		if err != nil || domain.ID(rec.ID) == event {
			return err == nil, err
		}
	}
	return false, nil
}

// holdLostSuccesses holds the machine for each project with a success that the log has lost: the installed release is
// unknown.
func (e *Engine) holdLostSuccesses(ctx context.Context, machine string, m AgentMemory) error {
	lost, err := e.lostSuccesses(ctx, machine, m)
	if err != nil {
		return err
	}
	for _, project := range lost {
		_, err := e.Handle(ctx, domain.ID{}, domain.SetHold{Project: project, Machine: machine, Unproven: true,
			Origin: domain.ServerOrigin("drover", e.cfg.Server),
			Reason: "the log was restored and lost the last success of this machine"})
		var rejection *domain.Rejection
		var aside *SetAside
		if err != nil && (!errors.As(err, &rejection) || errors.As(err, &aside)) { // held once the stream was cleared
			return fmt.Errorf("hold %s of machine %s after a restore: %w", project, machine, err)
		}
	}
	return nil
}
