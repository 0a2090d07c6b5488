package projections

import (
	"slices"

	"github.com/droverhq/drover/domain"
)

// A part of a deployment with HealthyFor is verified after its agent has reported a success. The machine has the release
// then and can run other parts, but the part keeps its slot. The fold observes the machine, and a server decides when the
// verification has ended: only a server can measure time.

// beginVerification folds a success that is not the end of its part. If nothing can follow from the verification, because
// a person has stopped or replaced the deployment meanwhile, the part ends here.
func (v *View) beginVerification(part *Part, f Fact) {
	d, m := part.Deployment, v.known(part.Machine)
	part.State, part.Verifying = domain.PartVerifying, f.Position
	if m != nil {
		freeMachine(part, m, f)
	}
	if part.IsFor(m) && !d.Project.Gone {
		v.recordSuccess(part, m, f)
		v.observePart(part, m, f)
		v.settle(d.Project, m)
	}
	if reason := part.overtaken(); reason != "" {
		v.endVerification(part, domain.PartCancelled, reason, f)
	}
}

// overtaken returns why a person no longer waits for the part, or an empty reason.
func (p *Part) overtaken() domain.PartReason {
	switch d := p.Deployment; {
	case d.Cancelled:
		return d.CancelledFor
	case d.Superseded:
		return domain.Superseded
	case slices.ContainsFunc(p.record.Parts, func(o *Part) bool {
		return o.Deployment.Project == d.Project && o.Deployment.sequence > d.sequence
	}):
		return domain.Superseded
	}
	return ""
}

// verified folds the end of a verification that a server decided. A success is void if the machine has become unhealthy,
// has gone offline or has lost its state before: its server had not read that yet, and decides again.
func (v *View) verified(part *Part, e domain.PartVerified, f Fact) {
	interrupted := !e.Steady.IsZero() && e.Steady != part.SteadyFrom // between the decision and this event
	void := e.State == domain.PartSucceeded && (part.Broken != "" || interrupted || part.Forgotten(v.MachineOf(part)))
	if part.State == domain.PartVerifying && !void {
		v.endVerification(part, e.State, e.Reason, f)
	}
}

// endVerification ends a verification. One that has failed already ends as failed, whatever else ends it now.
func (v *View) endVerification(part *Part, state domain.PartState, reason domain.PartReason, f Fact) {
	if part.Broken != "" {
		state, reason = domain.PartFailed, part.Broken
	}
	v.end(part, state, reason, f)
}

// endVerifications ends all verifications of a deployment.
func (v *View) endVerifications(d *Deployment, reason domain.PartReason, f Fact) {
	for _, name := range d.Order {
		if part := d.Parts[name]; part.State == domain.PartVerifying {
			v.endVerification(part, domain.PartCancelled, reason, f)
		}
	}
}

// observe folds a change of a machine's contact or health into the verifications on it.
func (v *View) observe(m *Machine, f Fact) {
	for _, part := range m.record.Parts {
		if part.State == domain.PartVerifying && part.IsFor(m) {
			v.observePart(part, m, f)
		}
	}
}

// observePart records since when the machine has been steady, and what breaks the verification: a report of unhealthy,
// or no contact beyond the grace. An unhealthy machine that has not reported since the success may still recover,
// because the part can cure it (law 24).
func (v *View) observePart(part *Part, m *Machine, f Fact) {
	switch e := f.Event.(type) {
	case domain.MachineHealthChanged:
		if m.Health == domain.Unhealthy {
			part.markBroken(domain.MachineIsUnhealthy)
		}
	case domain.MachineWentOffline:
		if e.BeyondGrace() && !m.Online {
			part.markBroken(domain.MachineIsOffline)
		}
	}
	switch {
	case !v.steady(m):
		part.Steady, part.SteadyFrom = 0, domain.ID{}
	case part.Steady == 0:
		part.Steady, part.SteadyFrom = f.Position, f.id()
	}
}

// Forgotten reports whether the agent of the machine no longer remembers the success of the part. The health of the
// machine then says nothing about the release of the part.
func (p *Part) Forgotten(m *Machine) bool {
	if !p.IsFor(m) {
		return false
	}
	lost := m.LostState(p.Deployment.Project.Name)
	return lost != nil && lost.Deployment == p.Deployment.ID
}

func (p *Part) markBroken(reason domain.PartReason) {
	if p.Broken == "" {
		p.Broken = reason
	}
}

// steady reports whether time counts for a verification on the machine: it is online, and its health check, if it has
// one, has not found it unhealthy.
func (v *View) steady(m *Machine) bool {
	return m.Online && m.Health != domain.Unhealthy && !(v.checked(m) && m.Health == domain.HealthUnknown)
}

// verifying reports whether a part of the project is verified on the machine.
func (m *Machine) verifying(p *Project) bool {
	return slices.ContainsFunc(m.record.Parts, func(part *Part) bool {
		return part.State == domain.PartVerifying && part.Deployment.Project == p && part.IsFor(m)
	})
}

// BlockingParts returns the started parts that must end before anything is decided about a project on a machine: the one
// that runs there, and those of the project that are being verified.
func (v *View) BlockingParts(p *Project, m *Machine) (parts []*Part) {
	for _, part := range v.OpenPartsOn(m.Name) {
		if part == m.Claimed || part.State == domain.PartVerifying && part.Deployment.Project == p {
			parts = append(parts, part)
		}
	}
	return parts
}

// unverified reports whether the agent succeeded, and a person ended the verification.
func (p *Part) unverified() bool { return p.Verifying > 0 && p.State == domain.PartCancelled }
