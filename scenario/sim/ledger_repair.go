package sim

import (
	"slices"

	"github.com/droverhq/drover/domain"
)

// repairs reports whether the deployment retries the parts of another one.
func (w *deploymentState) repairs() bool { return !w.RetryOf.IsZero() }

// selects reports whether nobody named the machines of the deployment one by one, so that it skips the ones that a person
// holds.
func (w *deploymentState) selects() bool {
	return w.Kind == domain.EnvironmentWide || len(w.Roles) > 0 || w.repairs()
}

// names reports whether the event lists the machine.
func (w *deploymentState) names(machine string) bool {
	return slices.ContainsFunc(w.Machines, func(m domain.DeploymentMachine) bool { return m.Name == machine })
}

// targets reports whether a deployment that is being queued has a part on a machine, whether or not a person holds it.
func (l *ledger) targets(w *deploymentState, h *machineState) bool {
	roles := w.project.settings.Roles
	switch {
	case w.Kind == domain.EnvironmentWide:
		return inScope(h, w.Environment, roles) && !slices.Contains(w.Exclude, h.Name) &&
			(!w.OnlyBehind || w.lacking[h.Name])
	case len(w.Roles) > 0:
		return inScope(h, w.Environment, roles) && inScope(h, w.Environment, w.Roles)
	case w.repairs():
		return w.lacking[h.Name]
	}
	return w.names(h.Name)
}

// noteLacking records the machines to which a repair or a deployment with --only-behind goes: the ones that lack the release
// before the deployment ends the verifications on its machines. Those of an earlier environment-wide deployment have ended.
func (l *ledger) noteLacking(w *deploymentState) {
	if !w.repairs() && !w.OnlyBehind {
		return
	}
	w.lacking = map[string]bool{}
	for _, h := range l.machines {
		if w.OnlyBehind || w.names(h.Name) {
			w.lacking[h.Name] = !l.hasRelease(w, h)
		}
	}
}

// follows reports whether both deployments are to the whole of one environment, so that the later one replaces the other.
func (w *deploymentState) follows(o *deploymentState) bool {
	return o.Kind == domain.EnvironmentWide && w.Kind == domain.EnvironmentWide && o.Environment == w.Environment
}

// hasRelease reports whether a machine has the release of a deployment that is being queued, and no part of the project is
// open on it.
func (l *ledger) hasRelease(w *deploymentState, h *machineState) bool {
	open := slices.ContainsFunc(w.project.openShares(h.Name), func(o *deploymentState) bool {
		return o != w && !(w.follows(o) && o.shares[h.Name] != nil && o.shares[h.Name].unclaimed())
	})
	r := l.installation(w.project, h)
	dirty := r.dirty && r.last != nil && r.last.instance == h.Instance
	return !open && l.actual(w.project, h) == w.Release && !dirty
}

// heldByPerson reports whether the strongest hold is one that no deployment left.
func (l *ledger) heldByPerson(a *projectState, h *machineState) bool {
	k := l.installation(a, h).holds.strongest()
	return k != nil && k.deployment == nil
}

// endRepair records what the end of a started part of a repair leaves on its machine: what the deployment that it repairs
// would have left (law 16). Where the release is wanted, a success leaves no hold of an earlier deployment.
func (l *ledger) endRepair(s *partState, r *installation) {
	w := s.deployment
	first := l.deployments[w.RetryOf]
	if first == nil || w.environmentGone || r.person != nil && r.person.queued > w.queued {
		return
	}
	kind := domain.FailedRolloutHold
	if first.good() && s.result == domain.PartSucceeded {
		kind = domain.NarrowedHold
	}
	settled := first.good() && first.Kind == domain.EnvironmentWide
	if release := l.left(s); !settled && w.Release != w.project.wantedIn(w.Environment) &&
		(s.machine.Instance == s.instance || release != "") {
		r.holds[kind] = &holdState{instance: s.instance, release: release, deployment: first, set: l.at}
	}
	if s.result == domain.PartSucceeded {
		r.holds.end(func(k *holdState) bool { return k.set < l.at && w.outdates(k) })
	}
}

// applyPin records a pin. It cancels the deployments of people that would bring another release to machines that have not
// started it.
func (l *ledger) applyPin(a *projectState, e domain.PinSet) {
	l.checkDeployable(a, e.Release)
	a.pins[e.Environment] = e.Release
	for _, w := range a.deployments {
		if !w.person() || w.Environment != e.Environment || w.Release == e.Release || !w.hasUnclaimed() {
			continue
		}
		w.cancelled = true
		w.withdraw(nil)
		l.endVerifications(w)
	}
	l.forgive(a, e.Environment)
}

func (w *deploymentState) hasUnclaimed() bool {
	for _, s := range w.shares {
		if s.unclaimed() {
			return true
		}
	}
	return false
}
