package projections

import (
	"slices"

	"github.com/droverhq/drover/domain"
)

// A repair is a narrowed deployment that retries an ended one of a person (domain.RetryDeployment). It continues the
// deployment that it repairs: what it leaves on a machine counts as if that one had left it. Where the release is wanted,
// nothing is held. Where it is not, the machine is held like those on which the first deployment had started, because
// automation would otherwise undo the repair (law 16).

// repairs reports whether the deployment is a repair.
func (d *Deployment) repairs() bool { return !d.Facts.RetryOf.IsZero() }

// HasRelease reports whether a machine needs no part to have a release: it has the release, and no part of the project is
// open on it, which may install something else.
func (v *View) HasRelease(p *Project, m *Machine, release string) bool {
	open := slices.ContainsFunc(m.record.Parts, func(o *Part) bool { return o.Deployment.Project == p })
	return !open && v.Actual(p, m) == release && !v.Dirty(p, m)
}

// queueRepair adds the part of a machine that a repair lists. What has changed between the decision and the position of
// the event counts: a machine that has the release by now gets no part, and one that a person holds is skipped.
func (v *View) queueRepair(p *Project, d *Deployment, named domain.DeploymentMachine, f Fact) {
	switch m := v.Machines[named.Name]; {
	case m != nil && v.HasRelease(p, m, d.Release):
	case m != nil && m.heldByPerson(p.Name):
		v.skipHeld(v.addPart(d, named.Name), f)
	default:
		v.queueNamed(p, d, named, f)
	}
}

// queueRoles adds the parts of the machines that a person selected by role. Nobody named them, so one that a person holds
// is skipped, as in an environment-wide deployment.
func (v *View) queueRoles(p *Project, d *Deployment, f Fact) {
	for _, m := range v.MachinesIn(d.Environment) {
		switch {
		case !domain.InScope(&m.Machine, d.Environment, p.Settings.Roles, d.Facts.Roles):
		case m.heldByPerson(p.Name):
			v.skipHeld(v.addPart(d, m.Name), f)
		default:
			v.queueNamed(p, d, domain.DeploymentMachine{Name: m.Name}, f)
		}
	}
}

// skipHeld ends a part that was just added, because a person holds its machine.
func (v *View) skipHeld(part *Part, f Fact) {
	part.State, part.Reason = domain.PartSkipped, domain.MachineIsHeld
	part.EndedAt, part.EndedTime = f.Position, f.Time
	v.closeEnded(part)
}

// endRepair folds what the end of a started part of a repair means for the holds of its machine.
func (v *View) endRepair(part *Part, m *Machine, f Fact) {
	d := part.Deployment
	if d.orphaned || !v.latestByPerson(d, part, m) {
		return
	}
	kind := v.holdOfRepair(part)
	release := v.releaseLeftBy(part, m)
	if kind != "" && d.Release != d.Project.WantedIn(d.Environment) && (m.Instance == part.Instance || release != "") {
		v.placeHold(d.Project, m, domain.Hold{Kind: kind, Instance: part.Instance, Release: release,
			Deployment: d.Facts.RetryOf}, f)
	}
	if part.State == domain.PartSucceeded {
		v.removeHolds(d.Project, m, func(h *Hold) bool { return h.At < f.Position && v.leftBefore(h, d) })
	}
}

// holdOfRepair returns the kind of the hold that the first deployment leaves on a machine on which a repair has ended;
// empty if it leaves none, because it has made its release the wanted one.
func (v *View) holdOfRepair(part *Part) domain.HoldKind {
	of := part.Deployment.Facts.RetryOf
	kind, good := v.pruned[of].Kind, v.pruned[of].good()
	if d := v.Deployments[of]; d != nil {
		kind, good = d.Kind, d.good()
	}
	switch {
	case !good:
		return domain.FailedRolloutHold
	case kind == domain.EnvironmentWide:
		return ""
	case part.State == domain.PartSucceeded:
		return domain.NarrowedHold
	}
	return domain.FailedRolloutHold
}

func (w world) Repairable(id domain.ID, failed, skipped bool) (facts domain.RepairFacts) {
	d := w.v.Deployments[id]
	if d == nil || d.Project.Gone {
		return facts
	}
	facts.Later = d.overtakenBy(w.v)
	for _, name := range d.Order {
		part := d.Parts[name]
		started := part.State == domain.PartFailed || part.State == domain.PartLost
		missed := part.Claimed == 0 && (part.State == domain.PartSkipped || part.State == domain.PartCancelled)
		if failed && started || skipped && missed {
			w.v.countRepair(&facts, part)
		}
	}
	return facts
}

// overtakenBy returns the other release that an environment-wide deployment queued after d made the wanted one; empty if
// none did.
func (d *Deployment) overtakenBy(v *View) string {
	s := d.Project.Environments[d.Environment]
	if s == nil || s.Release() == d.Release {
		return ""
	}
	if origin := v.Deployments[s.Origin()]; origin != nil && origin.Queued > d.Queued {
		return s.Release()
	}
	return ""
}

// countRepair counts what a retry would do with the machine of a part.
func (v *View) countRepair(facts *domain.RepairFacts, part *Part) {
	d, m := part.Deployment, v.MachineOf(part)
	switch {
	case !part.IsFor(m) || !v.PartInScope(part, m):
		facts.Gone++
	case m.heldByPerson(d.Project.Name) || v.excludedSince(d, m):
		facts.Held++
	case v.movedSince(d, m):
		facts.Moved++
	case v.HasRelease(d.Project, m, d.Release):
		facts.Done++
	default:
		facts.Machines = append(facts.Machines, part.Machine)
	}
}

// excludedSince reports whether a deployment that was queued after d excluded the machine.
func (v *View) excludedSince(d *Deployment, m *Machine) bool {
	h := m.holdOf(d.Project.Name, domain.ExcludedHold)
	return h != nil && !v.leftBefore(h, d)
}

// movedSince reports whether a person's deployment of another release, queued after d, has started on the machine.
func (v *View) movedSince(d *Deployment, m *Machine) bool {
	i := m.Installed[d.Project.Name]
	return i != nil && i.Person != nil && i.Person.Queued > d.Queued && i.Person.Release != d.Release
}
