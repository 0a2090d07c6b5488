package sim

import (
	"slices"

	"github.com/droverhq/drover/domain"
	"github.com/droverhq/drover/eventlog"
)

// refusal is why a claim is void: the law and the fact that makes it so. Without a fact, the claim counts.
type refusal struct{ law, fact string }

const (
	claimLaw     = "law 13: the claim check runs when execution starts"
	offerLaw     = "law 13: a machine is offered exactly the parts that may start there"
	runningLaw   = "one counting claim is open on a machine"
	healthLaw    = "law 25: nothing is deployed before the first result of the health check"
	asideLaw     = "law 18: a stream that is set aside decides nothing"
	heldLaw      = "law 16: a person's choice stays"
	wantedLaw    = "law 13: automation deploys only the wanted release"
	triggerLaw   = "law 20: a disabled trigger does nothing"
	satisfiedLaw = "law 8: only a machine that is behind is deployed to"
)

// judgeClaim decides by the raw log whether a claim counts, and compares the result with the fold: it must neither count
// a void claim nor refuse a valid one. It returns whether the claim counts.
func (l *ledger) judgeClaim(w *deploymentState, machine string, e domain.PartClaimed, at eventlog.Position) bool {
	r, certain := l.refuse(w, machine, e)
	counted := l.cluster.claimCounted(w.id, machine, at)
	claim := l.cluster.transcript.deployment(w.id) + " (" + w.Release + ") by " + machine
	switch {
	case !certain:
		return counted
	case counted && r.fact != "":
		l.cluster.violate(r.law, "the claim of %s counted, although %s", claim, r.fact)
	case !counted && r.fact == "":
		l.cluster.violate(claimLaw, "the claim of %s is void, although nothing forbids it", claim)
	}
	return r.fact == ""
}

// checkOffer checks which part a server offers to a machine: one that may start there, if there is any. offer is the zero
// id if it offers none.
func (l *ledger) checkOffer(machine string, offer domain.ID) {
	h := l.machines[machine]
	if h == nil {
		return
	}
	claim := domain.PartClaimed{Session: h.Session, Instance: h.Instance}
	for _, a := range l.projects {
		for _, w := range a.openShares(machine) {
			r, certain := l.refuse(w, machine, claim)
			switch name := l.cluster.transcript.deployment(w.id); {
			case certain && r.fact == "" && offer.IsZero():
				l.cluster.violate(offerLaw, "%s has no work, although nothing forbids its part of %s", machine, name)
			case certain && r.fact != "" && offer == w.id:
				l.cluster.violate(offerLaw, "%s was offered its part of %s, although %s", machine, name, r.fact)
			}
		}
	}
}

// refuse returns why a claim is void. The result is uncertain in one case: the machine of an automatic part already has
// the release, and a trigger with redeploy may have requested another deployment. checkAutomatic has checked that
// request when the part was queued.
func (l *ledger) refuse(w *deploymentState, machine string, e domain.PartClaimed) (r refusal, certain bool) {
	h, s := l.machines[machine], w.shares[machine]
	if s == nil || h == nil || h.created != s.created {
		return refusal{claimLaw, "its machine was deleted or has no part"}, true
	}
	if r = l.refusePart(w, s, h); r.fact == "" {
		r = l.refuseMachine(w, h, e)
	}
	if r.fact != "" || w.person() {
		return r, true
	}
	return l.refuseAutomatic(w, h)
}

// refusePart checks the part and its deployment.
func (l *ledger) refusePart(w *deploymentState, s *share, h *machineState) refusal {
	switch {
	case w.project.gone || w.project.disabled:
		return refusal{claimLaw, "its project is disabled or gone"}
	case w.cancelled || w.ended != "":
		return refusal{claimLaw, "its deployment is cancelled or has ended"}
	case s.claimed:
		return refusal{claimLaw, "it was claimed before"}
	case s.ended:
		return refusal{claimLaw, "it was withdrawn or replaced"}
	case !s.released:
		return refusal{claimLaw, "it was not released"}
	case l.superseded(w, h.Name):
		return refusal{claimLaw, "a person's later deployment covers its machine"}
	case l.heldAfter(w, h):
		return refusal{claimLaw, "its machine was held after it was queued"}
	}
	return refusal{}
}

// refuseMachine checks the machine and its session.
func (l *ledger) refuseMachine(w *deploymentState, h *machineState, e domain.PartClaimed) refusal {
	switch {
	case h.Disabled:
		return refusal{claimLaw, "its machine is disabled"}
	case !h.Online:
		return refusal{claimLaw, "its machine is offline"}
	case h.Session != e.Session || h.Instance != e.Instance:
		return refusal{claimLaw, "its session is not the newest"}
	case !inScope(h, w.Environment, w.project.settings.Roles):
		return refusal{claimLaw, "its machine is out of scope"}
	case l.checked[h.Policy] && h.Health == domain.HealthUnknown:
		return refusal{healthLaw, "the health of its machine is unknown"}
	case h.running != nil:
		return refusal{runningLaw, l.cluster.transcript.deployment(h.running.deployment.id) + " is running"}
	case l.aside[domain.MachineStream(h.Name)] > 0 || l.aside[domain.ProjectStream(w.project.name)] > 0:
		return refusal{asideLaw, "the stream of its machine or project is set aside"}
	}
	return refusal{}
}

// refuseAutomatic checks what only the parts of automatic deployments need.
func (l *ledger) refuseAutomatic(w *deploymentState, h *machineState) (r refusal, certain bool) {
	named := w.Machines[slices.IndexFunc(w.Machines, func(m domain.DeploymentMachine) bool { return m.Name == h.Name })]
	is := func(also func(*triggerState) bool) bool {
		return slices.ContainsFunc(named.Triggers, func(name string) bool {
			t := w.project.triggers[name]
			return t != nil && also(t)
		})
	}
	switch {
	case l.heldHere(w.project, h):
		return refusal{heldLaw, "its machine is held"}, true
	case l.wanted(w.project, h) != w.Release:
		return refusal{wantedLaw, "its machine should have " + l.wanted(w.project, h)}, true
	case !is(func(t *triggerState) bool { return !t.disabled && t.asks(w.project, h) }):
		return refusal{triggerLaw, "none of its triggers requests it any more"}, true
	case l.behind(w.project, h):
		return refusal{}, true
	case is(func(t *triggerState) bool { return t.settings.Redeploy }):
		return refusal{}, false
	}
	return refusal{satisfiedLaw, "its machine has the release already"}, true
}

// heldAfter reports whether the machine is held by a command, or because of a restore, since after the deployment was
// queued.
func (l *ledger) heldAfter(w *deploymentState, h *machineState) bool {
	holds := l.installation(w.project, h).holds
	return slices.ContainsFunc([]domain.HoldKind{domain.ManualHold, domain.UnprovenHold}, func(kind domain.HoldKind) bool {
		return holds[kind] != nil && holds[kind].set > w.queued
	})
}

// superseded reports whether a person has queued another deployment for the machine since.
func (l *ledger) superseded(w *deploymentState, machine string) bool {
	return slices.ContainsFunc(w.project.deployments, func(o *deploymentState) bool {
		whole := o.Kind == domain.EnvironmentWide && w.Kind == domain.EnvironmentWide && o.Environment == w.Environment
		return o.queued > w.queued && o.person() && !o.environmentGone && (whole || o.covers[machine])
	})
}
