package projections

import (
	"slices"
	"time"

	"github.com/droverhq/drover/domain"
	"github.com/droverhq/drover/eventlog"
)

// maxCleanUps bounds how many machines are retained after a clean-up deleted them. Beyond it, the oldest deletion can no
// longer be undone, and its machine starts empty when it returns.
const maxCleanUps = 10_000

// maxByAgent bounds how many machines are retained after their own agents deleted them. Beyond it, the oldest one without
// a person's choice is forgotten first. The bound is separate, so that agents cannot displace what clean-ups deleted.
const maxByAgent = 1_000

// cleanUps holds the machines that clean-ups or their own agents deleted. A clean-up acts without knowing the machine's
// state: the machine may have been alive all the time. If the same instance returns, it has the state from before (law 8).
// An agent must not get rid of what its machine is by deleting it (law 31).
type cleanUps struct {
	byName  map[string]*CleanedUp
	order   []string // deleted by clean-ups, oldest first
	byAgent []string // deleted by their agents, oldest first
}

// CleanedUp is a machine that a clean-up or its own agent deleted, as it was. Its holds and attempts still follow from what
// happens to the deployments it was part of.
type CleanedUp struct {
	*Machine
	// byAgent is set if its own agent deleted it.
	byAgent bool
	// checked is set if its policy had a health check.
	checked bool
	// open are the candidates that the deletion closed.
	open []Candidate
}

func newCleanUps() cleanUps { return cleanUps{byName: map[string]*CleanedUp{}} }

// add retains a machine that is about to be deleted.
func (c *cleanUps) add(m *Machine, checked, byAgent bool) {
	kept := &CleanedUp{Machine: m, checked: checked, byAgent: byAgent}
	for _, candidate := range m.candidates {
		kept.open = append(kept.open, detached(candidate))
	}
	c.byName[m.Name] = kept
	if byAgent {
		if c.byAgent = append(c.byAgent, m.Name); len(c.byAgent) > maxByAgent {
			without := slices.IndexFunc(c.byAgent, func(name string) bool { return !c.byName[name].chosen() })
			c.forget(c.byAgent[max(0, without)])
		}
		return
	}
	if c.order = append(c.order, m.Name); len(c.order) > maxCleanUps {
		c.forget(c.order[0])
	}
}

// chosen reports whether a person has disabled or held the machine.
func (m *Machine) chosen() bool {
	if m.Disabled {
		return true
	}
	for project := range m.Installed {
		if m.holdOf(project, domain.ManualHold) != nil {
			return true
		}
	}
	return false
}

// all returns the names of the retained machines.
func (c *cleanUps) all() []string { return slices.Concat(c.order, c.byAgent) }

// detached returns what openAgain needs of a candidate, without its place in the lists of open ones.
func detached(c *Candidate) Candidate {
	return Candidate{Project: c.Project, Trigger: c.Trigger, Opened: c.Opened, Redeploy: c.Redeploy,
		Causes: slices.Clone(c.Causes)}
}

// forget drops the machine of a name. Its deletion can no longer be undone.
func (c *cleanUps) forget(name string) {
	if c.byName[name] != nil {
		delete(c.byName, name)
		is := func(o string) bool { return o == name }
		c.order, c.byAgent = orNil(slices.DeleteFunc(c.order, is)), orNil(slices.DeleteFunc(c.byAgent, is))
	}
}

// CleanedUp returns the machine of this name if a clean-up or its own agent deleted it and the deletion can be undone, else
// nil.
func (v *View) CleanedUp(name string) *CleanedUp { return v.cleanUps.byName[name] }

// known returns the machine of a name, or the one that CleanedUp returns; nil if both do not exist.
func (v *View) known(name string) *Machine {
	if m := v.Machines[name]; m != nil {
		return m
	}
	if kept := v.cleanUps.byName[name]; kept != nil {
		return kept.Machine
	}
	return nil
}

// isDeleted reports whether the view has removed the machine, because a clean-up or its agent deleted it.
func (m *Machine) isDeleted() bool { return m.record.Machine != m }

// everyMachineOf returns the machines of an environment, and those of it that clean-ups deleted.
func (v *View) everyMachineOf(environment string) []*Machine {
	machines := v.MachinesIn(environment)
	machines = machines[:len(machines):len(machines)]
	for _, name := range v.cleanUps.all() {
		if m := v.cleanUps.byName[name].Machine; m.Environment == environment {
			machines = append(machines, m)
		}
	}
	return machines
}

// keepChoices gives a machine that is being added what a person set for the former machine of its name, whose agent deleted
// it: whether it is disabled, and its manual holds.
func (v *View) keepChoices(m *Machine) {
	kept := v.cleanUps.byName[m.Name]
	if kept == nil || !kept.byAgent {
		return
	}
	m.Disabled = kept.Disabled
	for project := range kept.Installed {
		if h := kept.holdOf(project, domain.ManualHold); h != nil {
			m.installed(project).place(h)
		}
	}
}

// undoCleanUp returns the machine that a clean-up or its agent deleted. The event has no effect if another machine has
// taken the name since, or if the deletion is too long ago: the deleted one is forgotten then.
func (v *View) undoCleanUp(name string, e domain.MachineCleanUpUndone, f Fact) {
	kept := v.cleanUps.byName[name]
	if kept == nil || kept.Instance != e.Instance {
		return
	}
	v.cleanUps.forget(name)
	m := kept.Machine
	m.Absence, m.CleanUpHeld = 0, false
	v.add(m)
	v.takePlaces(m)
	v.index.update(m)
	m.busyAway = m.busyAway || len(m.record.Parts) > 0
	v.touch(m.record)
	for project := range m.Installed {
		if h := m.holdOf(project, domain.ManualHold); h != nil {
			v.index.setDeadline(deadlineKey{project: project, machine: name}, h.Until)
		}
	}
	for _, old := range kept.open {
		v.openAgain(old.Project, m, old)
	}
	v.settleMachine(m, v.projectsFor(m.Roles))
}

// openAgain opens a candidate that a part or a deletion had closed.
func (v *View) openAgain(p *Project, m *Machine, old Candidate) {
	c := v.candidate(p, old.Trigger, m)
	if c.Opened == 0 || old.Opened < c.Opened {
		c.Opened = old.Opened
	}
	c.Redeploy = max(c.Redeploy, old.Redeploy)
	c.Causes = mergeCauses(old.Causes, c.Causes)
}

// dropProject forgets the state of a deleted project on the machines that clean-ups deleted.
func (c *cleanUps) dropProject(p *Project) {
	for _, kept := range c.byName {
		delete(kept.Installed, p.Name)
	}
	c.dropCandidates(func(c *Candidate) bool { return c.Project == p })
}

// dropCandidates drops the retained candidates that match.
func (c *cleanUps) dropCandidates(match func(*Candidate) bool) {
	for _, kept := range c.byName {
		kept.open = orNil(slices.DeleteFunc(kept.open, func(c Candidate) bool { return match(&c) }))
	}
}

// candidatesOf yields the retained candidates of a project.
func (c *cleanUps) candidatesOf(p *Project, each func(*Candidate)) {
	for _, kept := range c.byName {
		for i := range kept.open {
			if kept.open[i].Project == p {
				each(&kept.open[i])
			}
		}
	}
}

// noteOffline records since when and why a machine is offline.
func (m *Machine) noteOffline(e domain.Event, at eventlog.Position, wall time.Time) {
	off, _ := e.(domain.MachineWentOffline)
	m.Offline, m.OfflineTime, m.busyAway = at, wall, len(m.record.Parts) > 0
	m.ServerGone = off.Reason == domain.ServerGone
	m.Unknown, m.Unheard = m.ServerGone, 0
}

// noteWatched adds a span that servers have watched a machine being offline. If the server that held its session was
// gone, the machine is unknown first: its absence begins once another server has heard nothing from it for grace.
func (m *Machine) noteWatched(span, grace time.Duration) {
	if !m.Unknown {
		m.Absence += span
		return
	}
	m.Unheard += span
	m.Unknown = m.Unheard < grace
}

// resumes reports whether a machine that comes online only continues: it went offline because the server that held its
// session was gone. It counts as absent only if another server then heard nothing from it and its agent was restarted.
func (m *Machine) resumes(e domain.Event) bool {
	online, ok := e.(domain.MachineCameOnline)
	return ok && m.ServerGone && online.Instance == m.Instance && (m.Unknown || online.Session == m.Session)
}
