package projections

import (
	"slices"
	"strings"

	"github.com/droverhq/drover/domain"
	"github.com/droverhq/drover/eventlog"
)

// Candidate is a (trigger, machine) that an event made due and that is not settled yet.
type Candidate struct {
	Project *Project `cbor:"-"`
	Trigger string
	Machine string
	// Opened is where the first of its causes stands.
	Opened eventlog.Position
	// Redeploy is the newest cause that asks for a deployment even to a machine that is up to date; 0 for none.
	Redeploy eventlog.Position
	// Causes are the events that made it due, at most MaxCauses: the first and the newest ones.
	Causes []Cause
}

// Cause is an event that made a candidate due.
type Cause struct {
	ID       domain.ID
	Category domain.Category
	Position eventlog.Position
}

// MaxCauses bounds what a candidate remembers of its causes.
const MaxCauses = 8

type candidateKey struct{ project, trigger, machine string }

func (c *Candidate) key() candidateKey {
	return candidateKey{c.Project.Name, c.Trigger, c.Machine}
}

func (c *Candidate) addCause(cause Cause) {
	if slices.Contains(c.Causes, cause) {
		return
	}
	if len(c.Causes) == MaxCauses {
		c.Causes = slices.Delete(c.Causes, 1, 2)
	}
	c.Causes = append(c.Causes, cause)
}

// redeployDue says whether an event asks a trigger with redeploy for a deployment to a machine that is up
// to date. What drover itself causes must not: health changes, and coming back from a reboot in a step (law 6).
func redeployDue(m *Machine, before domain.Machine, f Fact, absent bool) bool {
	switch f.Event.(type) {
	case domain.MachineEnabled, domain.MachineChanged:
		return true
	case domain.MachineCameOnline:
		return before.Instance != m.Instance || absent && !m.busyAway
	}
	return false
}

// openCandidates opens one for every enabled trigger that matches the machine and the event, at the event's position.
func (v *View) openCandidates(m *Machine, f Fact, redeploy bool) {
	category, ok := domain.CategoryOf(f.Event)
	if !ok || !category.Opens() {
		return
	}
	cause := Cause{ID: f.id(), Category: category, Position: f.Position}
	for _, at := range v.listeners(m, category) {
		p, t := at.project, at.trigger
		if p.Disabled || t.Disabled || !slices.Contains(t.Opens, category) || !t.Matches(&m.Machine, p.Settings.Roles) {
			continue
		}
		c := v.candidate(p, t.Name, m)
		if c.Opened == 0 {
			c.Opened = f.Position
		}
		c.addCause(cause)
		if redeploy && t.Settings.Redeploy {
			c.Redeploy = f.Position
		}
	}
}

// candidate finds or begins that of a trigger on a machine.
func (v *View) candidate(p *Project, trigger string, m *Machine) *Candidate {
	key := candidateKey{p.Name, trigger, m.Name}
	c := p.candidates[key]
	if c == nil {
		c = &Candidate{Project: p, Trigger: trigger, Machine: m.Name}
		m.candidates = append(m.candidates, c)
		p.candidates[key] = c
	}
	return c
}

func (v *View) close(c *Candidate) {
	delete(c.Project.candidates, c.key())
	if m := v.Machines[c.Machine]; m != nil {
		m.candidates = slices.DeleteFunc(m.candidates, func(o *Candidate) bool { return o == c })
		if len(m.candidates) == 0 {
			m.candidates = nil
		}
	}
}

// Candidates are the open ones of a project on a machine, by trigger.
func (v *View) Candidates(p *Project, m *Machine) []*Candidate {
	var open []*Candidate
	for _, c := range m.candidates {
		if c.Project.Name == p.Name { // p may be a copy, with which somebody asks what would be if
			open = append(open, c)
		}
	}
	slices.SortFunc(open, func(a, b *Candidate) int { return strings.Compare(a.Trigger, b.Trigger) })
	return open
}

// settle closes the candidates of a project on a machine that need nothing any more, and keeps the
// set that the sweep reads. It is called wherever what is wanted, actual or in scope may have changed.
func (v *View) settle(p *Project, m *Machine) {
	if len(v.parts[m.Name]) > 0 {
		v.touch(m.Name) // a part may have lost its reason
	}
	for _, c := range v.Candidates(p, m) {
		if v.settled(p, m, c) {
			v.close(c)
		}
	}
	if v.sweepable(p, m) {
		p.sweep[m.Name] = struct{}{}
	} else {
		delete(p.sweep, m.Name)
	}
	v.shelves.asks(p)
}

// sweepable says that the sweep looks at a machine: it is behind, and no enabled trigger asks. What a disabled one waits for
// must not hide the machine from the sweep that serves another (law 20).
func (v *View) sweepable(p *Project, m *Machine) bool {
	asks := func(c *Candidate) bool { t := p.Triggers[c.Trigger]; return c.Project == p && t != nil && !t.Disabled }
	return !slices.ContainsFunc(m.candidates, asks) && domain.InScope(&m.Machine, m.Environment, p.Settings.Roles, nil) &&
		v.Behind(p, m) && !m.HeldHere(p.Name) && !v.Exhausted(p, m)
}

func (v *View) settled(p *Project, m *Machine, c *Candidate) bool {
	t := p.Triggers[c.Trigger]
	if t == nil || !t.Matches(&m.Machine, p.Settings.Roles) || v.Environments[m.Environment] == nil {
		return true // out of scope
	}
	wanted := v.Wanted(p, m)
	if wanted == "" || v.Actual(p, m) != wanted || v.Dirty(p, m) {
		return false
	}
	if c.Redeploy > 0 && m.installed(p.Name).Began <= c.Redeploy {
		return false // what was done last began before anybody asked
	}
	return !v.PersonAtWork(p, m)
}

// settleMachine settles a machine with the projects that have candidates on it, and with these.
func (v *View) settleMachine(m *Machine, also []*Project) {
	settled := make(map[*Project]struct{}, len(also)) // a project has a candidate for each of its triggers
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

// concerned are the projects that may think otherwise of a machine that has moved: those it was in scope of, as they may
// have found it behind, and those it is in scope of now.
func (v *View) concerned(before, after domain.Machine) []*Project {
	return append(v.projectsFor(before.Roles), v.projectsFor(after.Roles)...)
}

// settleProject settles a project on every machine.
func (v *View) settleProject(p *Project) {
	for _, m := range v.Machines {
		v.settle(p, m)
	}
}
