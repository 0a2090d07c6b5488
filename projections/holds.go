package projections

import (
	"cmp"
	"slices"
	"time"

	"github.com/droverhq/drover/domain"
	"github.com/droverhq/drover/eventlog"
)

// Hold is a hold of a project on a machine, with its place in the log.
type Hold struct {
	domain.Hold
	// At is the position at which the hold was set, and Time the time. They show how long it has been waiting for a
	// person.
	At   eventlog.Position
	Time time.Time
}

// holdStrength ranks the kinds of holds that come before all others. Of the other kinds the newest hold is the
// strongest.
var holdStrength = map[domain.HoldKind]int{domain.ManualHold: 2, domain.UnprovenHold: 1}

// place adds a hold, and replaces the former one of its kind. The strongest hold is the first one.
func (i *Installed) place(h *Hold) {
	i.remove(func(old *Hold) bool { return old.Kind == h.Kind })
	i.Holds = append(i.Holds, h)
	slices.SortFunc(i.Holds, func(a, b *Hold) int {
		return cmp.Or(cmp.Compare(holdStrength[b.Kind], holdStrength[a.Kind]), cmp.Compare(b.At, a.At))
	})
}

// remove removes the holds that match, and reports whether there were any.
func (i *Installed) remove(match func(*Hold) bool) bool {
	before := len(i.Holds)
	i.Holds = orNil(slices.DeleteFunc(i.Holds, match))
	return len(i.Holds) < before
}

// Hold returns the strongest hold of a project on the machine; nil if none exists.
func (m *Machine) Hold(project string) *Hold {
	if i := m.Installed[project]; i != nil && len(i.Holds) > 0 {
		return i.Holds[0]
	}
	return nil
}

// heldByPerson reports whether the strongest hold is one that no deployment left. Environment-wide deployments skip the
// machine then.
func (m *Machine) heldByPerson(project string) bool {
	h := m.Hold(project)
	return h != nil && h.Manual()
}

// holdOf returns the hold of one kind; nil if none exists.
func (m *Machine) holdOf(project string, kind domain.HoldKind) *Hold {
	if i := m.Installed[project]; i != nil {
		for _, h := range i.Holds {
			if h.Kind == kind {
				return h
			}
		}
	}
	return nil
}

// setHold folds a hold that a person set, or that drover set after a restore.
func (v *View) setHold(p *Project, e domain.HoldSet, f Fact) {
	m := v.Machines[e.Machine]
	if m == nil {
		return
	}
	if e.Unproven {
		m.installed(p.Name).invalidate()
	}
	v.placeHold(p, m, domain.Hold{Kind: e.Kind(), Instance: e.Instance, Release: e.Release, Until: e.Until, Reason: e.Reason,
		Origin: e.Origin}, f)
}

func (v *View) placeHold(p *Project, m *Machine, h domain.Hold, f Fact) {
	m.installed(p.Name).place(&Hold{Hold: h, At: f.Position, Time: f.Time})
	v.holdsChanged(p, m)
}

func (v *View) holdsChanged(p *Project, m *Machine) {
	if m.isDeleted() {
		return
	}
	var until *time.Time
	if h := m.holdOf(p.Name, domain.ManualHold); h != nil {
		until = h.Until
	}
	v.index.setDeadline(deadlineKey{project: p.Name, machine: m.Name}, until)
	v.settle(p, m)
}

// removeHolds ends the holds of a project on a machine that match. Other holds stay, each until its own end (law 16).
func (v *View) removeHolds(p *Project, m *Machine, match func(*Hold) bool) {
	if i := m.Installed[p.Name]; i != nil && i.remove(match) {
		v.holdsChanged(p, m)
	}
}

// liftHold folds the end of holds that a person lifted, or of the one that expired. A person also resets the count of
// attempts.
func (v *View) liftHold(p *Project, e domain.HoldLifted) {
	m := v.Machines[e.Machine]
	if m == nil || m.Hold(p.Name) == nil {
		return
	}
	if e.Reason == domain.Expired {
		v.removeHolds(p, m, func(h *Hold) bool { return h.Until != nil })
		return
	}
	m.resetAttempts(p.Name)
	v.removeHolds(p, m, func(h *Hold) bool { return e.Kind == "" || h.Kind == e.Kind })
}

// startedBy ends the holds that earlier deployments left on a machine on which a part of this person's deployment starts.
// The end of the deployment may set a hold again, and a success may end a hold that a person set (holdNarrowed).
func (v *View) startedBy(d *Deployment, m *Machine) {
	v.removeHolds(d.Project, m, func(h *Hold) bool { return v.leftBefore(h, d) })
}

// leftBefore reports whether a deployment that was queued before d left the hold.
func (v *View) leftBefore(h *Hold, d *Deployment) bool {
	by := v.Deployments[h.Deployment]
	return !h.Manual() && (by == nil || by.Queued < d.Queued)
}

// holdActual holds a machine at its actual release on behalf of a deployment. If a hold gives another instance a release
// that it does not have yet, the new hold gives it the same.
func (v *View) holdActual(d *Deployment, m *Machine, kind domain.HoldKind, f Fact) {
	hold := domain.Hold{Kind: kind, Instance: m.Instance, Release: v.Actual(d.Project, m), Deployment: d.ID}
	if h := m.Hold(d.Project.Name); h != nil && !m.HoldApplies(d.Project.Name) {
		hold.Instance, hold.Release = h.Instance, h.Release
	}
	v.placeHold(d.Project, m, hold, f)
}

// holdAfter sets and ends the holds that follow from a deployment's end. They are folded and not written to the log:
// only at the position of the end is it certain whether a later deployment has started on a machine.
func (v *View) holdAfter(d *Deployment, f Fact) {
	switch {
	case d.orphaned || d.Kind == domain.Automatic || d.repairs():
	case d.State == domain.DeploymentSucceeded && d.Kind == domain.EnvironmentWide:
		v.liftOlderHolds(d)
	case d.State == domain.DeploymentSucceeded:
		v.holdNarrowed(d, f)
	default:
		v.holdStarted(d, f)
	}
}

// liftOlderHolds ends the holds that earlier deployments left in the environment, except on machines that this one
// excluded. If a person accepted it, its own holds end too.
func (v *View) liftOlderHolds(d *Deployment) {
	for _, m := range v.everyMachineOf(d.Environment) {
		if !d.Excludes(m.Name) {
			v.removeHolds(d.Project, m, func(h *Hold) bool { return v.leftBefore(h, d) || h.Deployment == d.ID })
		}
	}
}

// holdNarrowed holds the machines that took the release, unless the environment wants that release anyway. It ends the
// holds that earlier deployments left there, and holds that a person set before the deployment was queued.
func (v *View) holdNarrowed(d *Deployment, f Fact) {
	wanted := d.Project.WantedIn(d.Environment)
	for _, name := range d.Order {
		part, m := d.Parts[name], v.known(name)
		switch {
		case part.Claimed == 0 || !v.latestByPerson(d, part, m):
		case part.State != domain.PartSucceeded && d.Facts.MaxFailures != nil && d.Release == wanted:
			// within maxFailures: automation retries it
		case part.State != domain.PartSucceeded: // automation must neither undo nor repeat what it may have done
			v.holdInstance(part, m, domain.FailedRolloutHold, v.releaseLeftBy(part, m), f)
		default:
			v.removeHolds(d.Project, m, func(h *Hold) bool {
				return v.leftBefore(h, d) || h.Manual() && h.At < d.Queued
			})
			if d.Release != wanted {
				v.holdInstance(part, m, domain.NarrowedHold, d.Release, f)
			}
		}
	}
}

// holdStarted holds the machines that had started a deployment which did not succeed: automation does not roll back the
// ones that took it, and does not repair the others (law 16).
func (v *View) holdStarted(d *Deployment, f Fact) {
	for _, name := range d.Order {
		part, m := d.Parts[name], v.known(name)
		if part.Claimed > 0 && v.latestByPerson(d, part, m) {
			v.holdInstance(part, m, domain.FailedRolloutHold, v.releaseLeftBy(part, m), f)
		}
	}
}

// releaseLeftBy returns the release that a part left on the instance it ran on.
func (v *View) releaseLeftBy(part *Part, m *Machine) string {
	switch {
	case m.Instance == part.Instance:
		return v.Actual(part.Deployment.Project, m)
	case part.State == domain.PartSucceeded || part.unverified():
		return part.Deployment.Release
	}
	return part.Previous
}

// holdInstance holds the instance that a part ran on. If the machine is another instance by now, that one gets the held
// release, like any re-imaged machine; without a release there is nothing to hold.
func (v *View) holdInstance(part *Part, m *Machine, kind domain.HoldKind, release string, f Fact) {
	if m.Instance == part.Instance || release != "" {
		v.placeHold(part.Deployment.Project, m, domain.Hold{Kind: kind, Instance: part.Instance, Release: release,
			Deployment: part.Deployment.ID}, f)
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

// holdCancelled holds the machines of a cancelled automatic deployment that have not succeeded, and on which no later
// part has started.
func (v *View) holdCancelled(d *Deployment, f Fact) {
	for _, name := range d.Order {
		part, m := d.Parts[name], v.known(name)
		if part.State == domain.PartSucceeded || part.unverified() || !part.IsFor(m) {
			continue
		}
		if part.Claimed == 0 || m.installed(d.Project.Name).Last == part {
			v.holdActual(d, m, domain.CancelledHold, f)
		}
	}
}
