package projections

import (
	"slices"

	"github.com/droverhq/drover/domain"
)

// claimRule is one row of the gate: a reason, and when it closes the gate to a claim of part by session on m.
type claimRule struct {
	reason  domain.PartReason
	forbids func(v *View, part *Part, m *Machine, session domain.ID) bool
}

// gate is looked at when execution starts, at the claim's own position in the log; nothing that was true
// when the part was queued is taken to be true still (law 13). The first row that closes it is the reason.
var claimRules = []claimRule{
	{domain.NotReleased, func(_ *View, p *Part, _ *Machine, _ domain.ID) bool { return p.State == domain.PartQueued }},
	{domain.AlreadyClaimed, func(_ *View, p *Part, _ *Machine, _ domain.ID) bool { return p.State == domain.PartRunning }},
	{domain.PartHasEnded, func(_ *View, p *Part, _ *Machine, _ domain.ID) bool { return !p.Open() }},
	{domain.ProjectGone, func(_ *View, p *Part, _ *Machine, _ domain.ID) bool { return p.Deployment.Project.Gone }},
	{domain.DeploymentStopped, func(_ *View, p *Part, _ *Machine, _ domain.ID) bool { return p.Deployment.Cancelled }},
	{domain.MachineGone, func(_ *View, p *Part, m *Machine, _ domain.ID) bool { return !p.IsFor(m) }},
	{domain.StreamSetAside, func(v *View, p *Part, m *Machine, _ domain.ID) bool { return v.eitherSetAside(p.Deployment.Project, m) }},
	{domain.ProjectIsDisabled, func(_ *View, p *Part, _ *Machine, _ domain.ID) bool { return p.Deployment.Project.Disabled }},
	{domain.OutOfScope, func(v *View, p *Part, m *Machine, _ domain.ID) bool { return !v.PartInScope(p, m) }},
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
	{domain.TriggerGone, func(v *View, p *Part, m *Machine, _ domain.ID) bool { return automatic(p) && !v.stillTriggered(p, m) }},
	{domain.MachineIsHeld, func(_ *View, p *Part, m *Machine, _ domain.ID) bool {
		return automatic(p) && m.HoldApplies(p.Deployment.Project.Name)
	}},
	{domain.NoLongerWanted, func(v *View, p *Part, m *Machine, _ domain.ID) bool {
		return automatic(p) && v.Wanted(p.Deployment.Project, m) != p.Deployment.Release
	}},
}

// Gate says why a claim of the part by this session would be void now; empty, that it would count.
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

// because is why the machine is not deployable; empty if it is.
func (v *View) unavailableReason(m *Machine) domain.PartReason {
	_, reason := v.Deployable(m)
	return reason
}

func (v *View) eitherSetAside(p *Project, m *Machine) bool {
	return v.SetAside(domain.MachineStream(m.Name)) || v.SetAside(domain.ProjectStream(p.Name))
}

// PartInScope says whether the machine is still where the deployment goes and one of the project's.
func (v *View) PartInScope(part *Part, m *Machine) bool {
	return domain.InScope(&m.Machine, part.Deployment.Environment, part.Deployment.Project.Settings.Roles, nil)
}

// asked says that a trigger which asked for the part is enabled and still matches the machine.
func (v *View) stillTriggered(part *Part, m *Machine) bool {
	p := part.Deployment.Project
	return slices.ContainsFunc(part.Triggers, func(name string) bool {
		t := p.Triggers[name]
		return t != nil && !t.Disabled && t.Matches(&m.Machine, p.Settings.Roles)
	})
}

// ClaimCheckOnceReleased is Gate for a part that waits for room: what would stand in its way if it were released.
func (v *View) ClaimCheckOnceReleased(part *Part, session domain.ID) domain.PartReason {
	return v.firstForbidding(claimRules[1:], part, session)
}
