package sim

import (
	"slices"
	"time"

	"github.com/droverhq/drover/domain"
)

// verification is what the ledger knows about a part whose machine must stay healthy (law 28).
type verification struct {
	// steady is set while the machine is online and not unhealthy, since the time since.
	// from is the event since which that is so.
	steady bool
	since  time.Duration
	from   domain.ID
	// broken is set once the machine became unhealthy or nothing was heard from it.
	broken bool
}

// unverified reports whether a person ended the verification.
func (s *partState) unverified() bool { return s.watch != nil && s.result == domain.PartCancelled }

func (s *partState) verifying() bool { return s.watch != nil && !s.ended }

// beginVerification records a success that does not end its part.
func (l *ledger) beginVerification(s *partState, r *installation, here bool) {
	s.watch = &verification{}
	l.observeOne(s, nil)
	if here {
		l.success(s, r)
		if !s.deployment.person() {
			r.holds.end(func(k *holdState) bool { return k.deployment == s.deployment })
		}
	}
	if l.overtaken(s) {
		l.endVerification(s, domain.PartCancelled)
	}
}

// overtaken reports whether a person no longer waits for the part: its deployment was cancelled or superseded, or a newer
// part of the project waits for the machine.
func (l *ledger) overtaken(s *partState) bool {
	w := s.deployment
	newer := func(o *deploymentState) bool {
		return o.Kind == domain.EnvironmentWide && w.Kind == domain.EnvironmentWide && o.Environment == w.Environment &&
			o.queued > w.queued
	}
	later := func(o *deploymentState) bool { return o.queued > w.queued }
	return w.cancelled || w.project.gone || slices.ContainsFunc(w.project.deployments, newer) ||
		slices.ContainsFunc(w.project.openShares(s.machine.Name), later)
}

// observe records what happened to a machine for its verifications.
func (l *ledger) observe(h *machineState, fact domain.Event) {
	for _, w := range l.deployments {
		if s := w.parts[h.Name]; s != nil && s.verifying() && s.machine == h {
			l.observeOne(s, fact)
		}
	}
}

func (l *ledger) observeOne(s *partState, fact domain.Event) {
	h, watch := s.machine, s.watch
	switch e := fact.(type) {
	case domain.MachineHealthChanged:
		watch.broken = watch.broken || h.Health == domain.Unhealthy
	case domain.MachineWentOffline:
		watch.broken = watch.broken || !h.Online && e.Reason == "silent"
	}
	steady := h.Online && h.Health != domain.Unhealthy && (!l.checked[h.Policy] || h.Health != domain.HealthUnknown)
	if steady && !watch.steady {
		watch.since, watch.from = l.cluster.now, l.id
	}
	watch.steady = steady
}

// applyVerified records the end of a verification that a server decided. A success is void if it follows a break, or if the
// machine was not steady all the time since the server decided.
func (l *ledger) applyVerified(s *partState, e domain.PartVerified) {
	void := func() bool { return s.watch.broken || !s.watch.steady || s.watch.from != e.Steady }
	if !s.verifying() || e.State == domain.PartSucceeded && void() {
		return
	}
	if e.State == domain.PartSucceeded {
		l.cluster.checkVerified(s)
	}
	l.endVerification(s, e.State)
}

// endVerification ends a verification. One that is broken ends as failed, whatever else ends it.
func (l *ledger) endVerification(s *partState, state domain.PartState) {
	if s.watch.broken {
		state = domain.PartFailed
	}
	s.ended, s.result = true, state
	s.deployment.shares[s.machine.Name].ended = true
	r := l.installation(s.deployment.project, s.machine)
	if l.known(s.machine.Name) == s.machine && s.deployment.repairs() && !s.deployment.project.gone {
		defer l.endRepair(s, r)
	}
	switch here := l.known(s.machine.Name) == s.machine && !s.deployment.project.gone; {
	case !here || state == domain.PartCancelled:
	case state == domain.PartSucceeded:
		if r.last == s {
			r.failures = 0
		}
		if !s.deployment.person() {
			l.countCauses(s)
			l.serve(s)
		}
	default:
		if r.last == s {
			r.dirty = true
		}
		if !s.deployment.person() && s.machine.Instance == s.instance {
			l.fail(s.deployment, s.machine, s.instance)
		}
	}
}

// verifiesOn reports whether a part of the project is verified on the machine.
func (l *ledger) verifiesOn(a *projectState, h *machineState) bool {
	return slices.ContainsFunc(a.deployments, func(w *deploymentState) bool {
		s := w.parts[h.Name]
		return s != nil && s.machine == h && s.verifying()
	})
}

// endVerifications ends the verifications of a deployment that a person ended.
func (l *ledger) endVerifications(w *deploymentState) {
	for _, s := range w.parts {
		if s.verifying() {
			l.endVerification(s, domain.PartCancelled)
		}
	}
}

// endReplaced ends the verifications that a person's new deployment replaces.
func (l *ledger) endReplaced(w *deploymentState, replaces func(o *deploymentState, machine string) bool) {
	for _, o := range w.project.deployments {
		for machine, s := range o.parts {
			if s.verifying() && replaces(o, machine) {
				l.endVerification(s, domain.PartCancelled)
			}
		}
	}
}

// goesTo reports whether a person's deployment that is being queued has a part on a machine that can start.
func (l *ledger) goesTo(w *deploymentState, machine string) bool {
	h := l.machines[machine]
	if h == nil {
		return w.names(machine)
	}
	return l.targets(w, h) && !(w.selects() && l.heldByPerson(w.project, h))
}
