package projections

import (
	"slices"

	"github.com/droverhq/drover/domain"
)

// foldPart folds a claim or an end. Facts about a part that does not exist have no effect.
func (v *View) foldPart(name string, f Fact) error {
	id, machine, err := domain.ParsePartStream(name)
	if err != nil {
		return err
	}
	if m := v.known(machine); m != nil {
		m.noteSuccess(f)
	}
	d := v.Deployments[id]
	if d == nil || d.Parts[machine] == nil {
		v.foldPruned(f)
		return nil
	}
	part := d.Parts[machine]
	v.touch(v.record(machine))
	switch e := f.Event.(type) {
	case domain.PartClaimed:
		v.claim(part, e, f)
	case domain.PartEnded:
		v.endClaimed(part, e, f)
	case domain.PartVerified:
		v.verified(part, e, f)
	}
	return nil
}

// claim starts the part if the claim passes the claim check at this position. Otherwise the claim is void.
func (v *View) claim(part *Part, e domain.PartClaimed, f Fact) {
	if v.ClaimCheck(part, e.Session) != "" {
		return
	}
	d, m := part.Deployment, v.MachineOf(part)
	part.State, part.Claimed, part.StartedTime = domain.PartRunning, f.Position, f.Time
	part.Session, part.Instance, part.Previous = e.Session, e.Instance, v.Actual(d.Project, m)
	part.Roles = m.Roles
	d.State = domain.DeploymentRunning
	m.Claimed = part
	i := m.installed(d.Project.Name)
	i.Last = part
	if d.Kind == domain.Automatic {
		return
	}
	if i.Person == nil || i.Person.Queued < d.Queued {
		i.Person = d
	}
	if !d.repairs() { // a repair ends holds where it succeeds, not where it starts
		v.startedBy(d, m)
	}
}

// endClaimed folds the end of a part that an agent or a server reported.
func (v *View) endClaimed(part *Part, e domain.PartEnded, f Fact) {
	byAgent := e.ByAgent()
	switch {
	case part.State == domain.PartRunning && (byAgent || e.State == domain.PartLost):
		part.Reported, part.Step, part.ExitCode, part.Detail = byAgent, e.Step, e.ExitCode, e.Detail
		if e.State == domain.PartSucceeded && part.Deployment.Facts.HealthyFor > 0 {
			v.beginVerification(part, f)
			return
		}
		v.end(part, e.State, e.Reason, f)
	case part.Unclaimed() && e.State == domain.PartSkipped:
		v.end(part, e.State, e.Reason, f)
	case part.Claimed > 0 && byAgent && !part.Reported:
		part.Reported = true
		v.lateResult(part, e, f)
	}
}

// lateResult folds a result that arrives after the part was declared lost. A success sets the machine's actual release,
// unless a newer part has started there. The part stays ended.
func (v *View) lateResult(part *Part, e domain.PartEnded, f Fact) {
	p, m := part.Deployment.Project, v.known(part.Machine)
	if p.Gone || !part.IsFor(m) || e.State != domain.PartSucceeded {
		return
	}
	if i := m.installed(p.Name); i.Last == part && part.Instance == m.Instance {
		m.noteInstalled(p, part, f)
		i.FailedAttempts = FailedAttempts{}
		v.settle(p, m)
	}
}

// end ends an open part and folds the consequences for its machine.
func (v *View) end(part *Part, state domain.PartState, reason domain.PartReason, f Fact) {
	d, from := part.Deployment, part.State
	part.State, part.Reason, part.EndedAt, part.EndedTime = state, reason, f.Position, f.Time
	if from != domain.PartQueued {
		part.takeSlots(-1)
		part.SlotRoles = nil
	}
	d.countEnded(part)
	d.advanceNext()
	m := v.known(part.Machine)
	v.closeEnded(part)
	if m == nil {
		return
	}
	freeMachine(part, m, f)
	if d.Project.Gone || !part.IsFor(m) {
		return
	}
	tried := from == domain.PartRunning || from == domain.PartVerifying && state != domain.PartCancelled
	if tried {
		v.recordOutcome(part, m, f)
	}
	switch {
	case d.Kind == domain.Automatic && state != domain.PartSucceeded:
		v.reopen(part, m, tried, f)
	case d.repairs() && part.Claimed > 0:
		v.endRepair(part, m, f)
	}
	part.candidates = nil // they are open again, or need nothing
	v.settle(d.Project, m)
}

// freeMachine records that the machine runs the part no longer, and can claim another one.
func freeMachine(part *Part, m *Machine, f Fact) {
	if m.Claimed == part {
		m.Claimed, m.Ready = nil, f.Position
	}
}

// closeEnded removes an ended part from the lists of open ones.
func (v *View) closeEnded(part *Part) {
	part.Deployment.open--
	v.touch(part.record)
	v.closePart(part)
}

// recordOutcome records what a part that had started left on its machine.
func (v *View) recordOutcome(part *Part, m *Machine, f Fact) {
	i := m.installed(part.Deployment.Project.Name)
	switch {
	case i.Last != part: // a later part decides what the machine has
	case part.State != domain.PartSucceeded:
		i.Dirty = true
	case part.Verifying > 0: // its release was recorded when the verification began
		i.FailedAttempts = FailedAttempts{}
	default:
		v.recordSuccess(part, m, f)
		i.FailedAttempts = FailedAttempts{}
	}
}

// recordSuccess records what a success that an agent reported in time means for its machine.
func (v *View) recordSuccess(part *Part, m *Machine, f Fact) {
	d := part.Deployment
	m.noteInstalled(d.Project, part, f)
	if d.Kind == domain.Automatic { // perhaps a cancelled one, which succeeded here after all
		v.removeHolds(d.Project, m, func(h *Hold) bool { return h.Deployment == d.ID })
	}
}

// reopen opens the candidates again that an automatic part had closed, and counts the attempt if there was one.
func (v *View) reopen(part *Part, m *Machine, claimed bool, f Fact) {
	p := part.Deployment.Project
	replaced := claimed && part.Instance != m.Instance // another instance has its own count
	if !replaced && (claimed || part.Reason == domain.NotClaimed) {
		m.countAttempt(p, part, f.Position)
	}
	if m.isDeleted() {
		kept := v.cleanUps.byName[m.Name]
		kept.open = append(kept.open, part.candidates...)
		return
	}
	for _, old := range part.candidates {
		v.openAgain(p, m, old)
	}
}

func mergeCauses(older, newer []Cause) []Cause {
	all := slices.Concat(older, newer)
	slices.SortFunc(all, func(a, b Cause) int { return int(int64(a.Position) - int64(b.Position)) })
	all = slices.CompactFunc(all, func(a, b Cause) bool { return a.ID == b.ID })
	if extra := len(all) - MaxCauses; extra > 0 {
		all = slices.Delete(all, 1, 1+extra)
	}
	return all
}
