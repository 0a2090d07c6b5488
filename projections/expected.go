package projections

import (
	"slices"

	"github.com/droverhq/drover/domain"
)

// Rollout returns the newest environment-wide deployment of the project that is open in an environment and was neither
// cancelled nor superseded; nil without one.
func (p *Project) Rollout(environment string) *Deployment {
	for _, d := range slices.Backward(p.wide) {
		if d.Environment == environment && !d.Cancelled && !d.Superseded && !d.Ended && !d.orphaned {
			return d
		}
	}
	return nil
}

// Rolling returns the part that will bring a release of the project to the machine: the one that was queued last, while
// it is queued, released or running; nil without one.
func (v *View) Rolling(p *Project, m *Machine) *Part {
	for _, part := range slices.Backward(m.record.Parts) {
		if part.Deployment.Project == p && part.IsFor(m) && part.State != domain.PartVerifying {
			return part
		}
	}
	return nil
}

// Expected returns the release that a machine should have of a project once the open deployments have ended: that of its
// own open part, or of the rollout in its environment, else the wanted one. Only people ask for it. The engine decides by
// Wanted, because a rollout may fail.
func (v *View) Expected(p *Project, m *Machine) string {
	if part := v.Rolling(p, m); part != nil {
		return part.Deployment.Release
	}
	if d := p.Rollout(m.Environment); d != nil && v.rolloutCounts(d, m) {
		return d.Release
	}
	return v.Wanted(p, m)
}

// rolloutCounts reports whether the success of an open rollout makes its release the wanted one of a machine: the rollout
// does not exclude it, and its success ends the hold of the machine.
func (v *View) rolloutCounts(d *Deployment, m *Machine) bool {
	h := m.Hold(d.Project.Name)
	return !d.Excludes(m.Name) && (h == nil || v.leftBefore(h, d))
}

// BehindExpected is Behind compared with Expected. It does not count the machines that already have the release of an
// open rollout, and counts the machines that are yet to get it.
func (v *View) BehindExpected(p *Project, m *Machine) bool {
	expected := v.Expected(p, m)
	return expected != "" && (v.Actual(p, m) != expected || v.Dirty(p, m))
}
