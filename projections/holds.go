package projections

import "github.com/droverhq/drover/domain"

// setHold folds a hold that a person set.
func (v *View) setHold(p *Project, e domain.HoldSet, f Fact) {
	m := v.Machines[e.Machine]
	if m == nil {
		return
	}
	if e.Unproven {
		m.installed(p.Name).invalidate()
	}
	hold := &domain.Hold{Instance: e.Instance, Release: e.Release, Until: e.Until, Reason: e.Reason, Origin: e.Origin}
	v.placeHold(p, m, hold, f)
}

func (v *View) placeHold(p *Project, m *Machine, h *domain.Hold, f Fact) {
	i := m.installed(p.Name)
	i.Hold, i.HoldAt, i.HoldTime = h, f.Position, f.Time
	v.index.setDeadline(deadlineKey{project: p.Name, machine: m.Name}, h.Until)
	v.touch(m.record)
	v.settle(p, m)
}

// liftHold ends a hold. reset also clears the count of attempts, as when a person lifts the hold.
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

// endsHold reports whether the start of a part of this person's deployment ends the current hold. It ends any hold that
// an earlier deployment left. It ends a hold that a person set earlier only if the deployment names the machine. The
// end of the deployment may set a hold again.
func (d *Deployment) endsHold(i *Installed, v *View) bool {
	if i.Hold == nil || i.Hold.Manual() {
		return i.Hold != nil && d.Kind == domain.Narrowed && i.HoldAt < d.Queued
	}
	by := v.Deployments[i.Hold.Deployment]
	return by == nil || by.Queued < d.Queued
}

// holdActual holds a machine at its actual release on behalf of a deployment. It leaves an existing hold unchanged.
func (v *View) holdActual(d *Deployment, machine string, f Fact) {
	m := v.Machines[machine]
	if m == nil || m.hold(d.Project.Name) != nil {
		return
	}
	v.placeHold(d.Project, m, &domain.Hold{Instance: m.Instance, Release: v.Actual(d.Project, m), Deployment: d.ID}, f)
}

// holdAfter sets and ends the holds that follow from a deployment's end. They are folded and not written to the log:
// only at the position of the end is it certain whether a later deployment has started on a machine.
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

// liftOlderHolds ends the holds that earlier deployments left in the environment, except on machines that this one
// excluded.
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

// holdNarrowed holds the machines that took the release. If the environment wants that release anyway, it lifts their
// hold.
func (v *View) holdNarrowed(d *Deployment, f Fact) {
	for _, name := range d.Order {
		part, m := d.Parts[name], v.Machines[name]
		if part.State != domain.PartSucceeded || !v.latestByPerson(d, part, m) || m.hold(d.Project.Name).Manual() {
			continue // the start of the part ended any earlier hold by a person, so this one is newer and remains
		}
		if d.Release == d.Project.WantedIn(d.Environment) {
			v.liftHold(d.Project, name, false)
			continue
		}
		v.holdInstance(part, m, d.Release, f)
	}
}

// holdStarted holds the machines that had started a deployment which did not succeed: automation does not roll back the
// ones that took it, and does not repair the others (law 16).
func (v *View) holdStarted(d *Deployment, f Fact) {
	for _, name := range d.Order {
		part, m := d.Parts[name], v.Machines[name]
		if part.Claimed == 0 || !v.latestByPerson(d, part, m) || m.hold(d.Project.Name).Manual() {
			continue
		}
		v.holdInstance(part, m, v.releaseLeftBy(part, m), f)
	}
}

// releaseLeftBy returns the release that a part left on the instance it ran on.
func (v *View) releaseLeftBy(part *Part, m *Machine) string {
	switch {
	case m.Instance == part.Instance:
		return v.Actual(part.Deployment.Project, m)
	case part.State == domain.PartSucceeded:
		return part.Deployment.Release
	}
	return part.Previous
}

// holdInstance holds the instance that a part ran on. If the machine is another instance by now, that one gets the held
// release, like any re-imaged machine; without a release there is nothing to hold.
func (v *View) holdInstance(part *Part, m *Machine, release string, f Fact) {
	if m.Instance == part.Instance || release != "" {
		hold := &domain.Hold{Instance: part.Instance, Release: release, Deployment: part.Deployment.ID}
		v.placeHold(part.Deployment.Project, m, hold, f)
	}
}

// latestByPerson reports whether the machine is still the one that the part ran on, and no later deployment by a person
// has started there.
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
