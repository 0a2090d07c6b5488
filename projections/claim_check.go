package projections

import (
	"slices"

	"github.com/droverhq/drover/domain"
)

// claimRule is one rule of the claim check: the reason, and when it forbids a claim of part by session on machine m.
type claimRule struct {
	reason  domain.PartReason
	forbids func(v *View, part *Part, m *Machine, session domain.ID) bool
}

// claimRules is the ordered claim check. It is evaluated at the claim's own position in the log: nothing that was true
// when the part was queued is assumed to be true still (law 13). The first rule that forbids the claim gives the
// reason.
var claimRules = []claimRule{
	{domain.NotReleased, func(_ *View, p *Part, _ *Machine, _ domain.ID) bool { return p.State == domain.PartQueued }},
	{domain.AlreadyClaimed, func(_ *View, p *Part, _ *Machine, _ domain.ID) bool {
		return p.State == domain.PartRunning || p.State == domain.PartVerifying
	}},
	{domain.PartHasEnded, func(_ *View, p *Part, _ *Machine, _ domain.ID) bool { return !p.Open() }},
	{domain.ProjectGone, func(_ *View, p *Part, _ *Machine, _ domain.ID) bool { return p.Deployment.Project.Gone }},
	{domain.DeploymentStopped, func(_ *View, p *Part, _ *Machine, _ domain.ID) bool { return p.Deployment.Cancelled }},
	{domain.MachineGone, func(_ *View, p *Part, m *Machine, _ domain.ID) bool { return !p.IsFor(m) }},
	{domain.StreamSetAside, func(v *View, p *Part, m *Machine, _ domain.ID) bool {
		return v.eitherSetAside(p.Deployment.Project, m)
	}},
	{domain.ProjectIsDisabled, func(_ *View, p *Part, _ *Machine, _ domain.ID) bool {
		return p.Deployment.Project.Disabled
	}},
	{domain.OutOfScope, func(v *View, p *Part, m *Machine, _ domain.ID) bool { return !v.PartInScope(p, m) }},
	// Any choice between two roles would be arbitrary.
	{domain.RolesDisagree, func(_ *View, p *Part, m *Machine, _ domain.ID) bool { return p.RolesDisagree(m) }},
	{domain.MachineIsDisabled, func(v *View, _ *Part, m *Machine, _ domain.ID) bool {
		return v.unavailableReason(m) == domain.MachineIsDisabled
	}},
	{domain.MachineIsOffline, func(v *View, _ *Part, m *Machine, _ domain.ID) bool {
		return v.unavailableReason(m) == domain.MachineIsOffline
	}},
	{domain.HealthNotKnown, func(v *View, _ *Part, m *Machine, _ domain.ID) bool {
		return v.unavailableReason(m) == domain.HealthNotKnown
	}},
	{domain.OldSession, func(_ *View, _ *Part, m *Machine, s domain.ID) bool { return s != m.Session }},
	{domain.MachineIsBusy, func(_ *View, _ *Part, m *Machine, _ domain.ID) bool { return m.Claimed != nil }},
	{domain.TriggerGone, func(v *View, p *Part, m *Machine, _ domain.ID) bool {
		return automatic(p) && !v.stillTriggered(p, m)
	}},
	{domain.MachineIsHeld, func(_ *View, p *Part, m *Machine, _ domain.ID) bool {
		return automatic(p) && m.HoldApplies(p.Deployment.Project.Name) || p.HeldSinceQueued(m)
	}},
	{domain.NoLongerWanted, func(v *View, p *Part, m *Machine, _ domain.ID) bool {
		return automatic(p) && (v.Wanted(p.Deployment.Project, m) != p.Deployment.Release || v.alreadyDone(p, m))
	}},
}

// ClaimCheck returns the reason why a claim of the part by this session would be void now, or an empty reason if the
// claim would count.
func (v *View) ClaimCheck(part *Part, session domain.ID) domain.PartReason {
	return v.firstForbidding(claimRules, part, session)
}

func (v *View) firstForbidding(rules []claimRule, part *Part, session domain.ID) domain.PartReason {
	m := v.MachineOf(part)
	for _, rule := range rules {
		if rule.forbids(v, part, m, session) {
			return rule.reason
		}
	}
	for _, row := range v.rows.forbidding {
		if reason := row.Forbids(v, part, m); reason != "" {
			return reason
		}
	}
	return ""
}

func automatic(p *Part) bool { return p.Deployment.Kind == domain.Automatic }

// HeldSinceQueued reports whether a person held the machine with `drover hold` after the part was queued, or drover held
// it after a restore. The machine then stays as it is, even if a person queued the part (law 13): a restored log may have
// a part that the machine has finished long ago.
func (p *Part) HeldSinceQueued(m *Machine) bool {
	i := m.Installed[p.Deployment.Project.Name]
	return i != nil && slices.ContainsFunc(i.Holds, func(h *Hold) bool { return h.Manual() && h.At > p.Deployment.Queued })
}

// alreadyDone reports whether the machine has the release of an automatic part, and no trigger asks for a redeployment
// that was requested after that release was claimed. The late result of a lost part leads to it (law 8).
func (v *View) alreadyDone(part *Part, m *Machine) bool {
	p := part.Deployment.Project
	if v.Actual(p, m) != part.Deployment.Release || v.Dirty(p, m) {
		return false
	}
	return !slices.ContainsFunc(part.candidates, func(c Candidate) bool { return c.Redeploy > m.installed(p.Name).Began })
}

// unavailableReason returns why the machine is not deployable; empty if it is.
func (v *View) unavailableReason(m *Machine) domain.PartReason {
	_, reason := v.Deployable(m)
	return reason
}

func (v *View) eitherSetAside(p *Project, m *Machine) bool {
	return v.SetAside(domain.MachineStream(m.Name)) || v.SetAside(domain.ProjectStream(p.Name))
}

// PartInScope reports whether the machine is still in the deployment's environment and in the scope of the project.
func (v *View) PartInScope(part *Part, m *Machine) bool {
	return domain.InScope(&m.Machine, part.Deployment.Environment, part.Deployment.Project.Settings.Roles, nil)
}

// RolesDisagree reports whether two roles of the machine disagree on a variable or secret of the part's release.
func (p *Part) RolesDisagree(m *Machine) bool {
	d := p.Deployment
	return d.Content != nil && d.Content.Disagreement(d.Environment, m.Roles) != nil
}

// stillTriggered reports whether a trigger that asked for the part is enabled and still matches the machine.
func (v *View) stillTriggered(part *Part, m *Machine) bool {
	p := part.Deployment.Project
	return slices.ContainsFunc(part.Triggers, func(name string) bool {
		t := p.Triggers[name]
		return t != nil && !t.Disabled && t.Matches(&m.Machine, p.Settings.Roles)
	})
}

// ClaimCheckOnceReleased is ClaimCheck for a part that waits for a slot: the reason that would apply if it were
// released.
func (v *View) ClaimCheckOnceReleased(part *Part, session domain.ID) domain.PartReason {
	return v.firstForbidding(claimRules[1:], part, session)
}
