package engine

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/google/uuid"

	"github.com/droverhq/drover/domain"
	"github.com/droverhq/drover/projections"
)

// CheckAgentMemory compares what a machine's agent remembers with the log. It ignores the memory of a log that was
// created elsewhere: the agent has moved here from another cluster. If the memory is about the log under its current
// id, a missing event makes the machine doubted, and so does an id that the log never had. If it is from before an
// accepted restore, the machine is held for each project whose last success the log has lost.
//
// An agent can be wrong, so its memory stops only its own machine. Several machines together stop the fleet, see
// enoughDoubts, and so does the id of a log that a server has signed. The doubt ends when the log has what the agent
// remembers, or when a person has accepted that it does not.
func (e *Engine) CheckAgentMemory(ctx context.Context, machine string, m AgentMemory) error {
	if m.Log == uuid.Nil || m.OriginalID != uuid.Nil && m.OriginalID != e.made {
		return nil
	}
	if err := e.CatchUpTo(ctx, m.Received); err != nil {
		return err
	}
	c := comparison{machine: machine, memory: m, epoch: e.classifyID(m.Log)}
	e.Read(func(v *projections.View) {
		if m := v.Machines[machine]; m != nil {
			c.known = m.Machine
		}
	})
	if c.epoch == unknownID && slices.Contains(c.known.AcceptedMemory, domain.ID(m.Log)) {
		c.epoch = formerID
	}
	if c.epoch != currentID {
		c.memory = m.withEarlier()
	}
	return e.judgeMemory(ctx, c)
}

// comparison is the memory of a machine's agent, and what the log knows about it.
type comparison struct {
	machine string
	memory  AgentMemory
	epoch   idEpoch // of the memory's log
	known   domain.Machine
}

// judgeMemory acts on a comparison.
func (e *Engine) judgeMemory(ctx context.Context, c comparison) error {
	switch {
	case c.known.MemoryAccepted:
		return e.takeMemory(ctx, c)
	case c.epoch == formerID && c.known.MemoryExcepted:
		missing, _, err := e.missingEvent(ctx, c)
		if err != nil || missing != "" {
			return err
		}
		return e.clearMemory(ctx, c, nil)
	case c.epoch == formerID:
		if err := e.holdLostSuccesses(ctx, c); err != nil {
			return err
		}
		e.endDoubt(c.machine)
		return nil
	case c.epoch == unknownID && c.memory.LogSigned:
		e.reportLoss(fmt.Sprintf("the agent of machine %s remembers log id %s", c.machine, c.memory.Log), c.memory.Log)
		return nil
	case c.epoch == unknownID:
		e.doubt(c, fmt.Sprintf("log id %s", c.memory.Log), domain.ID(c.memory.Log))
		return nil
	}
	missing, _, err := e.missingEvent(ctx, c)
	switch {
	case err != nil:
		return err
	case missing != "":
		e.doubt(c, missing, domain.ID{})
	default:
		e.endDoubt(c.machine)
	}
	return nil
}

// takeMemory holds the machine for each project whose last success is missing, and ends the accepted doubt. What is
// missing now raises no doubt again.
func (e *Engine) takeMemory(ctx context.Context, c comparison) error {
	_, accepted, err := e.missingEvent(ctx, c)
	if err != nil {
		return err
	}
	if c.epoch == unknownID {
		accepted = append(accepted, domain.ID(c.memory.Log))
	}
	if err := e.holdLostSuccesses(ctx, c); err != nil {
		return err
	}
	return e.clearMemory(ctx, c, accepted)
}

func (e *Engine) clearMemory(ctx context.Context, c comparison, accepted []domain.ID) error {
	if _, err := e.Handle(ctx, domain.ID{}, domain.ClearMemory{Name: c.machine, Accepted: accepted}); err != nil {
		return fmt.Errorf("clear the memory of machine %s: %w", c.machine, err)
	}
	e.endDoubt(c.machine)
	return nil
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

// missingEvent describes an event that a machine remembers and the log does not have, or returns an empty string. It
// also returns the ids of all missing events. It ignores events that a person has accepted as lost.
func (e *Engine) missingEvent(ctx context.Context, c comparison) (missing string, ids []domain.ID, err error) {
	m := c.memory
	lost, err := e.lostSuccesses(ctx, c)
	if err != nil {
		return "", nil, err
	}
	// Without its deployment a success cannot be looked up. Only the last two successes are in the view.
	lost = slices.DeleteFunc(lost, func(project string) bool { return m.Deployments[project].IsZero() })
	for _, project := range lost {
		ids = append(ids, m.Successes[project])
	}
	if len(lost) > 0 {
		missing = "its success " + m.Successes[lost[0]].String() + " for project " + lost[0]
	}
	if m.Event.IsZero() || slices.Contains(c.known.AcceptedMemory, m.Event) {
		return missing, ids, nil
	}
	stream := domain.MachineStream(c.machine)
	for rec, err := range e.cfg.Log.ReadStream(ctx, stream, m.Revision, 1) {
		if err != nil {
			return "", nil, err
		}
		if domain.ID(rec.ID) == m.Event {
			return missing, ids, nil
		}
	}
	if missing == "" {
		missing = fmt.Sprintf("event %s at revision %d of %s", m.Event, m.Revision, stream)
	}
	return missing, append(ids, m.Event), nil
}

// lostSuccesses returns the projects, sorted, whose last success on the machine is not in the log. It looks up at most
// as many successes as projects exist, those of existing projects first: an agent can name any number of projects.
func (e *Engine) lostSuccesses(ctx context.Context, c comparison) (projects []string, err error) {
	m, machine := c.memory, c.machine
	var unknown []string
	most := 1
	e.Read(func(v *projections.View) {
		most = max(most, len(v.Projects))
		for project, success := range m.Successes {
			switch {
			case slices.Contains(c.known.AcceptedMemory, success) || v.IsRecentSuccess(machine, project, success):
			case v.Projects[project] != nil:
				projects = append(projects, project)
			default:
				unknown = append(unknown, project)
			}
		}
	})
	slices.Sort(projects)
	slices.Sort(unknown)
	projects = append(projects, unknown...)
	projects = projects[:min(len(projects), most)]
	projects = slices.DeleteFunc(projects, func(project string) bool {
		there, failure := e.logHas(ctx, domain.PartStream(m.Deployments[project], machine), m.Successes[project])
		err = errors.Join(err, failure)
		return there
	})
	slices.Sort(projects)
	return projects, err
}

// maxPartEvents bounds how many events of a part are read. A part has a few.
const maxPartEvents = 1000

// logHas looks up an event in its stream. The view has only the newest successes, and a machine whose disk was restored
// from a snapshot remembers an older one.
func (e *Engine) logHas(ctx context.Context, stream string, event domain.ID) (bool, error) {
	for rec, err := range e.cfg.Log.ReadStream(ctx, stream, 0, maxPartEvents) {
		if err != nil || domain.ID(rec.ID) == event {
			return err == nil, err
		}
	}
	return false, nil
}

// holdLostSuccesses holds the machine for each project with a success that the log has lost: the installed release is
// unknown.
func (e *Engine) holdLostSuccesses(ctx context.Context, c comparison) error {
	machine := c.machine
	lost, err := e.lostSuccesses(ctx, c)
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
