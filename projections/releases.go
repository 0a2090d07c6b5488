package projections

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/droverhq/drover/domain"
	"github.com/droverhq/drover/eventlog"
)

// Project is a project with what several streams say of it.
type Project struct {
	domain.Project
	Defined eventlog.Position
	// Open are its deployments that have not ended, in the order they were queued.
	Open []*Deployment `cbor:"-"`
	// Enabled is where it was last enabled, or defined.
	Enabled eventlog.Position
	// PinnedTime is when each environment's pin was set; only what is shown goes by it.
	PinnedTime map[string]time.Time
	// Gone says that the project was deleted: its open deployments only finish what was claimed.
	Gone bool

	wide     []*Deployment // those of Open that are environment-wide
	waiting  []*Candidate  // open ones, in no order; each knows its place
	sweep    map[string]*Machine
	released map[string]int // open released and running parts by environment
}

// Waiting lists the machines with an open candidate of the project, sorted.
func (p *Project) Waiting() (names []string) {
	for _, m := range p.Due(false) {
		names = append(names, m.Name)
	}
	return names
}

// Due lists the machines with an open candidate of the project and, if sweep is set, those of Sweep; sorted by name, without
// duplicates.
func (p *Project) Due(sweep bool) []*Machine {
	machines := make([]*Machine, len(p.waiting), len(p.waiting)+len(p.sweep))
	for i, c := range p.waiting {
		machines[i] = c.machine
	}
	if sweep {
		machines = slices.AppendSeq(machines, maps.Values(p.sweep))
	}
	slices.SortFunc(machines, func(a, b *Machine) int { return strings.Compare(a.Name, b.Name) })
	return slices.Compact(machines)
}

// Sweep lists the machines that are behind, for which no enabled trigger asks, and that are not held and not exhausted, sorted.
func (p *Project) Sweep() []string { return sortedKeys(p.sweep) }

// Released counts the parts of the project in an environment that may run now: released and running ones.
func (p *Project) Released(environment string) int { return p.released[environment] }

func (v *View) foldProject(name string, f Fact) error {
	p := v.Projects[name]
	if p == nil {
		return v.foldWithoutProject(name, f)
	}
	if err := p.Evolve(f.id(), f.Event); err != nil {
		return err
	}
	switch e := f.Event.(type) {
	case domain.ProjectDeleted:
		v.deleteProject(p, f)
	case domain.ProjectDefined, domain.TriggerDefined, domain.TriggerDeleted:
		v.listenerIndex = listenerIndex{}
		v.settleProject(p)
		v.touchOpen(p)
	case domain.ProjectEnabled:
		p.Enabled = f.Position
		v.touchOpen(p)
	case domain.ProjectDisabled:
		v.touchOpen(p)
	case domain.TriggerEnabled:
		v.switchTrigger(p, e.Trigger)
	case domain.TriggerDisabled:
		v.switchTrigger(p, e.Trigger)
	case domain.DeploymentQueued:
		v.queue(p, e, f)
	case domain.PartsReleased, domain.PartsWithdrawn, domain.DeploymentCancelled, domain.DeploymentEnded:
		v.foldDeployment(f)
	case domain.PinSet:
		p.PinnedTime[e.Environment] = f.Time
		v.repin(p, e.Environment, e.Until)
	case domain.PinLifted:
		v.repin(p, e.Environment, nil)
	case domain.HoldSet:
		v.setHold(p, e, f)
	case domain.HoldLifted:
		v.liftHold(p, e.Machine, e.Reason == domain.Lifted)
	}
	return nil
}

// switched looks anew at the machines that a trigger waits for: the sweep looks at those for which only disabled ones do.
func (v *View) switchTrigger(p *Project, trigger string) {
	v.touchOpen(p)
	for _, m := range p.Due(false) {
		if _, open := m.search(p.Name, trigger); open {
			v.settle(p, m)
		}
	}
}

// foldRelease folds a release from its own stream. One of a project that is gone, or was created again since, is inert.
func (v *View) foldRelease(name string, f Fact) error {
	project, incarnation, version, err := domain.ParseReleaseStream(name)
	if err != nil {
		return err
	}
	e, ok := f.Event.(domain.ReleaseCreated)
	if !ok || e.Version != version || e.Incarnation != incarnation {
		return fmt.Errorf("%s is not the creation of release %.140s", domain.Name(f.Event), version)
	}
	if p := v.Projects[project]; p != nil && p.Incarnation == incarnation {
		return p.Evolve(f.id(), e)
	}
	return nil
}

// foldWithoutProject begins a project, or lets the deployments of a deleted one end.
func (v *View) foldWithoutProject(name string, f Fact) error {
	if _, ok := f.Event.(domain.ProjectDefined); !ok {
		v.foldDeployment(f)
		return nil
	}
	p := &Project{Project: *domain.NewProject(name), Defined: f.Position, Enabled: f.Position,
		sweep: map[string]*Machine{}, released: map[string]int{}, PinnedTime: map[string]time.Time{}}
	if err := p.Evolve(f.id(), f.Event); err != nil {
		return err
	}
	v.Projects[name] = p
	v.listenerIndex = listenerIndex{}
	return nil
}

// deleteProject cancels what is open and forgets the rest: the name starts empty.
func (v *View) deleteProject(p *Project, f Fact) {
	p.Gone = true
	for _, d := range p.Open {
		d.orphaned = true
		d.cancel(domain.ProjectGone)
		v.withdraw(d, nil, domain.ProjectGone, f)
	}
	for _, c := range slices.Clone(p.waiting) {
		v.close(c)
	}
	clear(p.sweep)
	for name, m := range v.Machines {
		delete(m.Installed, p.Name)
		v.index.setDeadline(deadlineKey{project: p.Name, machine: name}, nil)
	}
	for environment := range p.Environments {
		v.index.setDeadline(deadlineKey{project: p.Name, environment: environment}, nil)
	}
	v.index.updateProject(p)
	delete(v.Projects, p.Name)
	v.listenerIndex = listenerIndex{}
}

// repin looks anew at every machine of an environment; another wanted release is tried from the start.
func (v *View) repin(p *Project, environment string, until *time.Time) {
	v.index.setDeadline(deadlineKey{project: p.Name, environment: environment}, until)
	for _, m := range v.MachinesIn(environment) {
		m.resetAttempts(p.Name)
		v.settle(p, m)
	}
}
