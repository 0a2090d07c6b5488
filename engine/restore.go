package engine

import (
	"context"
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

// ErrLostEvents means that somebody remembers events that this log does not have: it was restored from a backup,
// or an old copy took over. Nothing is decided on it until a person accepts that.
var ErrLostEvents = errors.New("this log has lost events")

// doubt is what somebody remembers of the log with this id. It ends when the log gets another one.
type lossReport struct {
	log      uuid.UUID
	evidence string
}

// Memory is what an agent remembers of the log.
type AgentMemory struct {
	Log uuid.UUID
	// Made is the id that this log was made with; zero: it is not known.
	Made uuid.UUID
	// Revision and Event are of the last event it was told of in its machine's stream; a zero Event: none.
	Revision eventlog.Revision
	Event    domain.ID
	// Successes maps a project to the PartEnded of its last success on the machine.
	Successes map[string]domain.ID
	// Deployments maps a project to the deployment that this success was a part of.
	Deployments map[string]domain.ID
	// Came is when the agent told it: what it remembers was there before. The zero value is now.
	Received ReadPoint
}

// Doubt stops this server from deciding, because of what somebody says to remember. The others hear of it by its lease.
func (e *Engine) ReportLostEvents(evidence string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.lostEvents() == nil {
		e.loss = lossReport{log: e.logID(), evidence: evidence}
		e.log.Error("the log has lost events; no decisions are made until you run `drover eventlog accept-restore`", zap.String("evidence", evidence))
	}
}

// Doubted says why the log is doubted; nil if it is not.
func (e *Engine) LostEvents() error {
	e.mu.RLock()
	defer e.mu.RUnlock()
	return e.lostEvents()
}

// doubted is Doubted for who holds mu.
func (e *Engine) lostEvents() error {
	if e.loss.evidence == "" || e.loss.log != e.logID() {
		return nil
	}
	return fmt.Errorf("%w: %s, and it is not there; was a backup restored, or did an old copy take over?", ErrLostEvents, e.loss.evidence)
}

// lease is what this server shows the others: a count that rises, its wall clock, which is only shown, and its doubt.
func (e *Engine) leaseContent(beat int64) []byte {
	text := strconv.FormatInt(beat, 10) + " " + e.cfg.Clock.Now().UTC().Format(time.RFC3339Nano)
	e.mu.RLock()
	defer e.mu.RUnlock()
	if e.lostEvents() != nil {
		text += "\n" + e.loss.log.String() + "\n" + e.loss.evidence
	}
	return []byte(text)
}

// leaseTime is the wall clock of the server that wrote a lease; older ones do not tell it.
func leaseTime(lease []byte) (time.Time, bool) {
	line, _, _ := strings.Cut(string(lease), "\n")
	_, text, _ := strings.Cut(line, " ")
	at, err := time.Parse(time.RFC3339Nano, text)
	return at, err == nil
}

// hear takes the doubts of others over, so that no server decides on a log that one of them doubts.
func (e *Engine) adoptLostEvents(leases map[uuid.UUID][]byte) {
	log := e.LogID().String()
	for _, value := range leases {
		if parts := strings.SplitN(string(value), "\n", 3); len(parts) == 3 && parts[1] == log {
			e.ReportLostEvents(parts[2])
		}
	}
}

// Compare takes what the agent of a machine remembers. Memory of a log that was made elsewhere says nothing of this one:
// the agent has come over from another cluster. Memory of the log as it is now that the log does not
// share is a doubt. Memory from before a restore that was accepted keeps what the machine has: each project whose
// success the log has lost is held there.
func (e *Engine) CheckAgentMemory(ctx context.Context, machine string, m AgentMemory) error {
	if m.Log == uuid.Nil || m.Made != uuid.Nil && m.Made != e.made {
		return nil
	}
	if err := e.CatchUpTo(ctx, m.Received); err != nil {
		return err
	}
	switch e.classifyID(m.Log) {
	case formerID:
		return e.holdLostSuccesses(ctx, machine, m)
	case unknownID:
		e.ReportLostEvents(fmt.Sprintf("the agent of machine %s knows the log as %s", machine, m.Log))
		return nil
	}
	says, err := e.missingEvent(ctx, machine, m)
	if says != "" {
		e.ReportLostEvents(fmt.Sprintf("the agent of machine %s remembers %s", machine, says))
	}
	return err
}

// idEpoch tells the ids that a log has gone by.
type idEpoch int

const (
	unknownID idEpoch = iota
	formerID          // it went by that id until a restore was accepted
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

// lacks names an event that a machine remembers and the log does not have; empty if there is none.
func (e *Engine) missingEvent(ctx context.Context, machine string, m AgentMemory) (says string, err error) {
	lost, err := e.lostSuccesses(ctx, machine, m)
	if err != nil {
		return "", err
	}
	// Without its deployment a success cannot be lastLook up: that the view does not prove it says nothing.
	lost = slices.DeleteFunc(lost, func(project string) bool { return m.Deployments[project].IsZero() })
	if len(lost) > 0 {
		return "its success " + m.Successes[lost[0]].String() + " for project " + lost[0], nil
	}
	if m.Event.IsZero() {
		return "", nil
	}
	stream := domain.MachineStream(machine)
	says = fmt.Sprintf("event %s at revision %d of %s", m.Event, m.Revision, stream)
	for rec, err := range e.cfg.Log.ReadStream(ctx, stream, m.Revision, 1) {
		if err != nil || domain.ID(rec.ID) == m.Event {
			return "", err
		}
	}
	return says, nil
}

// lost are the projects, in order, whose last success on the machine is not in the log.
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

// has looks an event up in its stream. The fold proves the newest successes alone, and a machine whose disk was put
// back to a snapshot remembers an older one.
func (e *Engine) logHas(ctx context.Context, stream string, event domain.ID) (bool, error) {
	for rec, err := range e.cfg.Log.ReadStream(ctx, stream, 0, 0) {
		if err != nil || domain.ID(rec.ID) == event {
			return err == nil, err
		}
	}
	return false, nil
}

// holdLostSuccesses holds what a machine has succeeded with since the backup, as nobody can say any more what that is.
func (e *Engine) holdLostSuccesses(ctx context.Context, machine string, m AgentMemory) error {
	lost, err := e.lostSuccesses(ctx, machine, m)
	if err != nil {
		return err
	}
	for _, project := range lost {
		_, err := e.Handle(ctx, domain.ID{}, domain.SetHold{Project: project, Machine: machine, Unproven: true, Origin: domain.ServerOrigin("drover", e.cfg.Server),
			Reason: "the log was restored and has lost what this machine got last"})
		var rejection *domain.Rejection
		var aside *SetAside
		if err != nil && (!errors.As(err, &rejection) || errors.As(err, &aside)) { // what is set aside is held once it was cleared
			return fmt.Errorf("hold %s of machine %s after a restore: %w", project, machine, err)
		}
	}
	return nil
}
