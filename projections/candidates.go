package projections

import (
	"cmp"
	"slices"
	"strings"

	"github.com/droverhq/drover/domain"
	"github.com/droverhq/drover/eventlog"
)

// Candidate is a machine that an event made due for a trigger, until it is deployed to or needs nothing.
type Candidate struct {
	Project *Project `cbor:"-"`
	Trigger string
	Machine string
	// Opened is the position of its first cause.
	Opened eventlog.Position
	// Redeploy is the position of the newest cause that asks for a deployment even if the machine is up to date; 0 if
	// none does.
	Redeploy eventlog.Position
	// Causes are the events that made it due: the first and the newest ones, at most MaxCauses.
	Causes []Cause

	machine *Machine // while open
	place   int      // index in Project.waiting
}

// Cause is an event that made a candidate due.
type Cause struct {
	ID       domain.ID
	Category domain.Category
	Position eventlog.Position
}

// MaxCauses bounds the causes that a candidate stores.
const MaxCauses = 8

func (c *Candidate) addCause(cause Cause) {
	if slices.Contains(c.Causes, cause) {
		return
	}
	if len(c.Causes) == MaxCauses {
		c.Causes = slices.Delete(c.Causes, 1, 2)
	}
	c.Causes = append(c.Causes, cause)
}

// redeployDue reports whether an event asks a trigger with redeploy for a deployment to a machine that is up to date.
// Events that drover causes itself do not: health changes, and a reboot within a step (law 6).
func redeployDue(m *Machine, before domain.Machine, f Fact, absent bool) bool {
	switch f.Event.(type) {
	case domain.MachineEnabled, domain.MachineChanged:
		return true
	case domain.MachineCameOnline:
		return before.Instance != m.Instance || absent && !m.busyAway
	}
	return false
}

func anyProject(*Project) bool { return true }

// mayWantAnother reports whether the machine missed a deployment: since it went offline, its environment has come to want
// another release, a deployment there has succeeded, or one is still open (law 1). A machine that only seemed to be absent
// is due only for such projects.
func (p *Project) mayWantAnother(m *Machine) bool {
	return p.WantedSince[m.Environment] > m.Offline || p.HasOpenWide(m.Environment)
}

// openCandidates opens a candidate for every enabled trigger that matches the machine and the event, of the projects for
// which due returns true.
func (v *View) openCandidates(m *Machine, f Fact, redeploy bool, due func(*Project) bool) {
	category, ok := domain.CategoryOf(f.Event)
	if !ok || !category.Opens() {
		return
	}
	cause := Cause{ID: f.id(), Category: category, Position: f.Position}
	for _, at := range v.asking(m, category) {
		if !due(at.project) {
			continue
		}
		c := v.openFor(at, m, cause)
		if redeploy && at.trigger.Settings.Redeploy {
			c.Redeploy = f.Position
		}
	}
}

// asking returns the enabled triggers that match the machine and the category, possibly with duplicates.
func (v *View) asking(m *Machine, category domain.Category) []listener {
	return slices.DeleteFunc(v.listeners(m, category), func(at listener) bool {
		p, t := at.project, at.trigger
		return p.Disabled || t.Disabled || !slices.Contains(t.Opens, category) || !t.Matches(&m.Machine, p.Settings.Roles)
	})
}

// openFor opens a candidate of a trigger because of the cause, or adds the cause to the open one.
func (v *View) openFor(at listener, m *Machine, cause Cause) *Candidate {
	c := v.candidate(at.project, at.trigger.Name, m)
	if c.Opened == 0 {
		c.Opened = cause.Position
	}
	c.addCause(cause)
	return c
}

// search returns the index of a trigger's candidate in the machine's list, or where to insert it.
func (m *Machine) search(project, trigger string) (place int, open bool) {
	return slices.BinarySearchFunc(m.candidates, trigger, func(c *Candidate, trigger string) int {
		return cmp.Or(strings.Compare(c.Project.Name, project), strings.Compare(c.Trigger, trigger))
	})
}

// candidate returns the open candidate of a trigger on a machine, and opens one if needed.
func (v *View) candidate(p *Project, trigger string, m *Machine) *Candidate {
	i, open := m.search(p.Name, trigger)
	if open {
		return m.candidates[i]
	}
	c := &Candidate{Project: p, Trigger: trigger, Machine: m.Name, machine: m, place: len(p.waiting)}
	m.candidates = slices.Insert(m.candidates, i, c)
	p.waiting = append(p.waiting, c)
	return c
}

// close removes an open candidate from the lists of its project and its machine.
func (v *View) close(c *Candidate) {
	p, m, end := c.Project, c.machine, len(c.Project.waiting)-1
	moved := p.waiting[end]
	p.waiting[c.place], moved.place = moved, c.place
	p.waiting[end] = nil
	p.waiting = orNil(p.waiting[:end])
	i, _ := m.search(p.Name, c.Trigger)
	m.candidates = orNil(slices.Delete(m.candidates, i, i+1))
	c.machine, c.place = nil, 0
}

// orNil returns nil for an empty list, so that equal views have equal lists.
func orNil[T any](list []T) []T {
	if len(list) == 0 {
		return nil
	}
	return list
}

// Candidates returns the open candidates of a project on a machine, by trigger. The list is valid until the next event
// is folded.
func (v *View) Candidates(p *Project, m *Machine) []*Candidate {
	first, _ := m.search(p.Name, "") // by name: p may be a modified copy, for a hypothetical question
	end := first
	for end < len(m.candidates) && m.candidates[end].Project.Name == p.Name {
		end++
	}
	return m.candidates[first:end:end]
}

// settle closes the candidates of a project on a machine that need nothing, and updates the set of machines for the
// sweep. It must be called wherever the wanted release, the actual release or the scope may have changed.
func (v *View) settle(p *Project, m *Machine) {
	if m.isDeleted() {
		return // it has no candidates until its clean-up is undone
	}
	if len(m.record.Parts) > 0 {
		v.touch(m.record) // the claim check of an open part may have another result
	}
	for _, c := range slices.Backward(v.Candidates(p, m)) { // closing a candidate moves the later ones
		if v.settled(p, m, c) {
			v.close(c)
		}
	}
	if v.sweepable(p, m) {
		p.sweep[m.Name] = m
	} else {
		delete(p.sweep, m.Name)
	}
	v.index.updateProject(p)
}

// sweepable reports whether the sweep looks at a machine: it is behind, and no enabled trigger asks for it. A candidate
// of a disabled trigger must not hide the machine from a sweep for another trigger (law 20).
func (v *View) sweepable(p *Project, m *Machine) bool {
	asks := func(c *Candidate) bool { t := p.Triggers[c.Trigger]; return c.Project == p && t != nil && !t.Disabled }
	return !slices.ContainsFunc(m.candidates, asks) && domain.InScope(&m.Machine, m.Environment, p.Settings.Roles,
		nil) &&
		v.Behind(p, m) && !m.HoldApplies(p.Name) && !v.Exhausted(p, m)
}

func (v *View) settled(p *Project, m *Machine, c *Candidate) bool {
	t := p.Triggers[c.Trigger]
	if t == nil || !t.Matches(&m.Machine, p.Settings.Roles) || v.Environments[m.Environment] == nil {
		return true // out of scope
	}
	if m.HoldApplies(p.Name) && !t.Sweeps {
		return false // a hold uses up no cause (law 16); after its end, only the sweep would find the machine without one
	}
	wanted := v.Wanted(p, m)
	if wanted == "" || v.Actual(p, m) != wanted || v.Dirty(p, m) {
		return false
	}
	if m.verifying(p) {
		return false // the verification may fail; the cause must not be lost (law 2)
	}
	if c.Redeploy > 0 && m.installed(p.Name).Began <= c.Redeploy {
		return false // the last success began before the redeploy was requested
	}
	return !v.PersonDeploys(p, m)
}

// settleMachine settles a machine for the projects that have candidates on it, and for the given ones.
func (v *View) settleMachine(m *Machine, also []*Project) {
	settled := make(map[*Project]struct{}, len(also)) // a project may have several candidates
	for _, c := range m.candidates {
		also = append(also, c.Project)
	}
	for _, p := range also {
		if _, done := settled[p]; !done {
			settled[p] = struct{}{}
			v.settle(p, m)
		}
	}
}

// affectedProjects returns the projects that may see a changed machine differently: they had it in scope before the
// change, or have it in scope now.
func (v *View) affectedProjects(before, after domain.Machine) []*Project {
	return append(v.projectsFor(before.Roles), v.projectsFor(after.Roles)...)
}

// settleProject settles a project on every machine.
func (v *View) settleProject(p *Project) {
	for m := range v.everyMachine() {
		v.settle(p, m)
	}
}
