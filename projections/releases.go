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

// Project is a project with the state that follows from several streams.
type Project struct {
	domain.Project
	Defined eventlog.Position
	// Open lists the deployments that have not ended, in queue order.
	Open []*Deployment `cbor:"-"`
	// Enabled is the position at which it was last enabled or defined.
	Enabled eventlog.Position
	// PinnedTime is when the pin of each environment was set. It is only shown.
	PinnedTime map[string]time.Time
	// Created is when each release was created. It is only shown.
	Created map[string]Moment
	// RetiredAt is when each retired release was retired. It is only shown.
	RetiredAt map[string]Moment
	// WantedSince is the position at which what each environment wants last changed, or a deployment last confirmed it.
	WantedSince map[string]eventlog.Position
	// Gone is set after the project was deleted. Its open deployments only finish their claimed parts.
	Gone bool

	wide    []*Deployment // the environment-wide ones in Open
	waiting []*Candidate  // open candidates, unordered; Candidate.place is the index
	sweep   map[string]*Machine
	// released is the number of released and running parts, by environment and by environment/role.
	released map[string]int
}

// Waiting returns the names of the machines with an open candidate of the project, sorted.
func (p *Project) Waiting() (names []string) {
	for _, m := range p.Due(false) {
		names = append(names, m.Name)
	}
	return names
}

// Due returns the machines with an open candidate of the project and, if sweep is set, those of Sweep. They are sorted
// by name, without duplicates.
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

// Sweep returns the names of the machines that the sweep looks at, sorted: they are behind, no enabled trigger asks for
// them, and they are not held and not exhausted.
func (p *Project) Sweep() []string { return sortedKeys(p.sweep) }

// Released counts the parts of the project in an environment that may run now: released and running ones.
func (p *Project) Released(environment string) int { return p.released[environment] }

// ReleasedOn counts those of them on machines that had the role when the part was released.
func (p *Project) ReleasedOn(environment, role string) int {
	return p.released[slotKey(environment, role)]
}

func (v *View) foldProject(name string, f Fact) error {
	p := v.Projects[name]
	if p == nil {
		return v.foldWithoutProject(name, f)
	}
	environment := pinnedEnvironment(f.Event)
	before := p.WantedIn(environment)
	if err := p.Evolve(f.id(), f.Event); err != nil {
		return err
	}
	if p.WantedIn(environment) != before {
		p.WantedSince[environment] = f.Position
	}
	switch e := f.Event.(type) {
	case domain.ReleaseCreated:
		p.created(e.Version, f)
	case domain.ReleaseRetired:
		p.RetiredAt[e.Release] = Moment{f.Position, f.Time}
	case domain.ReleaseRestored:
		delete(p.RetiredAt, e.Release)
	case domain.ProjectDeleted:
		v.deleteProject(p, f)
	case domain.ProjectDefined, domain.TriggerDefined, domain.TriggerDeleted:
		v.cleanUps.dropCandidates(func(c *Candidate) bool { return c.Project == p && p.Triggers[c.Trigger] == nil })
		p.dropTaken()
		v.listenerIndex = listenerIndex{}
		v.dropRedeploys(p)
		v.settleProject(p)
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
	case domain.PartsReleased, domain.PartsWithdrawn, domain.DeploymentCancelled,
		domain.DeploymentAccepted, domain.DeploymentEnded:
		v.foldDeployment(f)
	case domain.PinSet:
		p.PinnedTime[e.Environment] = f.Time
		v.stopForPin(p, e, f)
		v.repin(p, e.Environment, e.Until, true)
	case domain.PinLifted:
		v.repin(p, e.Environment, nil, e.Reason == domain.Lifted)
	case domain.HoldSet:
		v.setHold(p, e, f)
	case domain.HoldLifted:
		v.liftHold(p, e)
	}
	return nil
}

// pinnedEnvironment returns the environment for which an event sets or lifts a pin; empty for any other event.
func pinnedEnvironment(e domain.Event) string {
	switch e := e.(type) {
	case domain.PinSet:
		return e.Environment
	case domain.PinLifted:
		return e.Environment
	}
	return ""
}

// dropRedeploys clears the redeployments that triggers had requested before their owner turned redeploy off. Turning it
// on again does not bring them back.
func (v *View) dropRedeploys(p *Project) {
	drop := func(c *Candidate) {
		if t := p.Triggers[c.Trigger]; t == nil || !t.Settings.Redeploy {
			c.Redeploy = 0
		}
	}
	for _, c := range p.waiting {
		drop(c)
	}
	for _, d := range p.Open {
		for _, part := range d.Parts {
			for i := range part.candidates {
				drop(&part.candidates[i])
			}
		}
	}
	v.cleanUps.candidatesOf(p, drop)
}

// dropTaken drops the candidates of deleted triggers that open parts have taken. Otherwise a part that ends without a
// success would open them again for another trigger of the same name, which counts only later events (law 19).
func (p *Project) dropTaken() {
	for _, d := range p.Open {
		for _, part := range d.Parts {
			part.candidates = orNil(slices.DeleteFunc(part.candidates, func(c Candidate) bool { return p.Triggers[c.Trigger] == nil }))
		}
	}
}

// switchTrigger folds the enabling or disabling of a trigger. It settles the machines with a candidate of the trigger:
// the sweep looks at a machine only if all its candidates are of disabled triggers.
func (v *View) switchTrigger(p *Project, trigger string) {
	v.touchOpen(p)
	for _, m := range p.Due(false) {
		if _, open := m.search(p.Name, trigger); open {
			v.settle(p, m)
		}
	}
}

// foldRelease folds a release from its own stream. It has no effect if the project was deleted or created again since.
func (v *View) foldRelease(name string, f Fact) error {
	project, incarnation, version, err := domain.ParseReleaseStream(name)
	if err != nil {
		return err
	}
	e, ok := f.Event.(domain.ReleaseCreated)
	if !ok || e.Version != version || e.Incarnation != incarnation {
		return fmt.Errorf("%s does not create release %.140s", domain.Name(f.Event), version)
	}
	if p := v.Projects[project]; p != nil && p.Incarnation == incarnation {
		p.created(version, f)
		return p.Evolve(f.id(), e)
	}
	return nil
}

// created records when a release was created. Only the first event of a version creates it.
func (p *Project) created(version string, f Fact) {
	if _, known := p.Created[version]; !known {
		p.Created[version] = Moment{f.Position, f.Time}
	}
}

// foldWithoutProject creates a project, or folds an event about the deployments of a deleted one.
func (v *View) foldWithoutProject(name string, f Fact) error {
	if _, ok := f.Event.(domain.ProjectDefined); !ok {
		v.foldDeployment(f)
		return nil
	}
	p := &Project{Project: *domain.NewProject(name), Defined: f.Position, Enabled: f.Position,
		sweep: map[string]*Machine{}, released: map[string]int{}, PinnedTime: map[string]time.Time{},
		Created: map[string]Moment{}, RetiredAt: map[string]Moment{}, WantedSince: map[string]eventlog.Position{}}
	if err := p.Evolve(f.id(), f.Event); err != nil {
		return err
	}
	v.Projects[name] = p
	v.listenerIndex = listenerIndex{}
	return nil
}

// deleteProject cancels the open deployments and deletes everything else, so that the name starts empty.
func (v *View) deleteProject(p *Project, f Fact) {
	p.Gone = true
	for _, d := range p.Open {
		d.orphaned = true
		d.cancel(domain.ProjectGone)
		v.withdraw(d, nil, domain.ProjectGone, f)
		v.endVerifications(d, domain.ProjectGone, f)
	}
	for _, c := range slices.Clone(p.waiting) {
		v.close(c)
	}
	clear(p.sweep)
	for name, m := range v.Machines {
		delete(m.Installed, p.Name)
		v.index.setDeadline(deadlineKey{project: p.Name, machine: name}, nil)
	}
	v.cleanUps.dropProject(p)
	for environment := range p.Environments {
		v.index.setDeadline(deadlineKey{project: p.Name, environment: environment}, nil)
	}
	v.index.updateProject(p)
	delete(v.Projects, p.Name)
	v.listenerIndex = listenerIndex{}
}

// stopForPin cancels the deployments of people that would bring another release than the new pin to machines that have not
// started it. It is folded, like supersede: which parts are unclaimed is certain only at the position of the pin. Automatic
// deployments need no rule: the claim check refuses their parts, and a server withdraws them.
func (v *View) stopForPin(p *Project, pin domain.PinSet, f Fact) {
	for _, d := range p.Open {
		if d.Environment != pin.Environment || d.Release == pin.Release || d.Kind == domain.Automatic || !d.HasUnclaimed() {
			continue
		}
		d.cancel(domain.ReleasePinned)
		v.withdraw(d, nil, domain.ReleasePinned, f)
		v.endVerifications(d, domain.ReleasePinned, f)
	}
}

// repin settles every machine of an environment whose pin changed, and resets the count of attempts.
func (v *View) repin(p *Project, environment string, until *time.Time, byPerson bool) {
	v.index.setDeadline(deadlineKey{project: p.Name, environment: environment}, until)
	for _, m := range v.everyMachineOf(environment) {
		if byPerson {
			m.resetAttempts(p.Name)
		}
		v.settle(p, m)
	}
}
