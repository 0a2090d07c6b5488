package projections

import "github.com/droverhq/drover/domain"

// setHold is a person's verb.
func (v *View) setHold(p *Project, e domain.HoldSet, f Fact) {
	m := v.Machines[e.Machine]
	if m == nil {
		return
	}
	if e.Unproven {
		m.installed(p.Name).invalidate()
	}
	v.placeHold(p, m, &domain.Hold{Instance: e.Instance, Release: e.Release, Until: e.Until, Reason: e.Reason, Origin: e.Origin}, f)
}

func (v *View) placeHold(p *Project, m *Machine, h *domain.Hold, f Fact) {
	i := m.installed(p.Name)
	i.Hold, i.HoldAt, i.HoldTime = h, f.Position, f.Time
	v.index.setDeadline(deadlineKey{project: p.Name, machine: m.Name}, h.Until)
	v.touch(m.record)
	v.settle(p, m)
}

// liftHold ends a hold; a person who lifts it also lets the machine be tried from the start.
func (v *View) liftHold(p *Project, machine string, reset bool) {
	m := v.Machines[machine]
	if m == nil || m.hold(p.Name) == nil {
		return
	}
	m.installed(p.Name).Hold = nil
	v.index.setDeadline(deadlineKey{project: p.Name, machine: machine}, nil)
	if reset {
		m.resetAttempts(p.Name)
	}
	v.settle(p, m)
}

// replaces says whether a part of this person's deployment ends the hold that is there when it starts: any that a
// deployment queued earlier had set, and the verb's own of before where the person named the machine. Its own end
// decides anew.
func (d *Deployment) endsHold(i *Installed, v *View) bool {
	if i.Hold == nil || i.Hold.Manual() {
		return i.Hold != nil && d.Kind == domain.Narrowed && i.HoldAt < d.Queued
	}
	by := v.Deployments[i.Hold.Deployment]
	return by == nil || by.Queued < d.Queued
}

// keep holds a machine at what it has, on behalf of a deployment. A hold that is there already stays:
// a person's verb, and what an earlier deployment left, are not for a deployment to change.
func (v *View) holdActual(d *Deployment, machine string, f Fact) {
	m := v.Machines[machine]
	if m == nil || m.hold(d.Project.Name) != nil {
		return
	}
	v.placeHold(d.Project, m, &domain.Hold{Instance: m.Instance, Release: v.Actual(d.Project, m), Deployment: d.ID}, f)
}

// holdAfter sets and ends the holds that follow from a deployment's end. They are folded, not written:
// whether a later deployment has started on a machine is only certain at the end's own position.
func (v *View) holdAfter(d *Deployment, f Fact) {
	switch {
	case d.orphaned || d.Kind == domain.Automatic:
	case d.State == domain.DeploymentSucceeded && d.Kind == domain.EnvironmentWide:
		v.liftOlderHolds(d)
	case d.State == domain.DeploymentSucceeded:
		v.holdNarrowed(d, f)
	default:
		v.holdStarted(d, f)
	}
}

// liftOlderHolds ends the holds that deployments queued earlier had set, where this one excluded nothing.
func (v *View) liftOlderHolds(d *Deployment) {
	for _, m := range v.MachinesIn(d.Environment) {
		h := m.hold(d.Project.Name)
		if h == nil || h.Manual() || d.Excludes(m.Name) {
			continue
		}
		if by := v.Deployments[h.Deployment]; by == nil || by.Queued < d.Queued {
			v.liftHold(d.Project, m.Name, false)
		}
	}
}

// holdNarrowed holds the machines that took the release, or ends their hold if it is the one wanted anyway.
func (v *View) holdNarrowed(d *Deployment, f Fact) {
	for _, name := range d.Order {
		part, m := d.Parts[name], v.Machines[name]
		if part.State != domain.PartSucceeded || !v.latestByPerson(d, part, m) || m.hold(d.Project.Name).Manual() {
			continue // a verb's hold that was there ended when the part started: this one came later, and stays
		}
		if d.Release == d.Project.WantedIn(d.Environment) {
			v.liftHold(d.Project, name, false)
			continue
		}
		v.holdInstance(part, m, d.Release, f)
	}
}

// holdStarted holds the machines that had started a deployment which did not succeed: automation neither
// rolls back those that took it nor repairs those that did not (law 16).
func (v *View) holdStarted(d *Deployment, f Fact) {
	for _, name := range d.Order {
		part, m := d.Parts[name], v.Machines[name]
		if part.Claimed == 0 || !v.latestByPerson(d, part, m) || m.hold(d.Project.Name).Manual() {
			continue
		}
		v.holdInstance(part, m, v.releaseLeftBy(part, m), f)
	}
}

// kept is the release that a part left on the instance it ran on.
func (v *View) releaseLeftBy(part *Part, m *Machine) string {
	switch {
	case m.Instance == part.Instance:
		return v.Actual(part.Deployment.Project, m)
	case part.State == domain.PartSucceeded:
		return part.Deployment.Release
	}
	return part.Previous
}

// holdAt holds the instance that a part ran on. Another one has not started the part: like any re-imaged machine that
// is held it gets the held release, and where there is none nothing holds it.
func (v *View) holdInstance(part *Part, m *Machine, release string, f Fact) {
	if m.Instance == part.Instance || release != "" {
		v.placeHold(part.Deployment.Project, m, &domain.Hold{Instance: part.Instance, Release: release, Deployment: part.Deployment.ID}, f)
	}
}

// latestByPerson says that the machine is still the one that the part ran on, and that no person's deployment
// queued later has started there.
func (v *View) latestByPerson(d *Deployment, part *Part, m *Machine) bool {
	if m == nil || m.Added != part.added {
		return false
	}
	person := m.installed(d.Project.Name).Person
	return person == nil || person.Queued <= d.Queued
}

// holdCancelled holds the machines of a cancelled automatic deployment that have not succeeded.
func (v *View) holdCancelled(d *Deployment, f Fact) {
	for _, name := range d.Order {
		if part := d.Parts[name]; part.State != domain.PartSucceeded {
			v.holdActual(d, name, f)
		}
	}
}
