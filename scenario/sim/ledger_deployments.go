package sim

import (
	"maps"
	"slices"
	"time"

	"github.com/droverhq/drover/domain"
	"github.com/droverhq/drover/eventlog"
)

// deploymentState is a deployment.
type deploymentState struct {
	domain.DeploymentQueued
	id      domain.ID
	project *projectState
	queued  eventlog.Position
	// lacking contains the machines that lacked the release when a repair, or a deployment only to such machines, was queued.
	lacking map[string]bool
	// covers contains the machines of a person's deployment on which no older deployment can start any more.
	covers    map[string]bool
	shares    map[string]*share
	parts     map[string]*partState
	cancelled bool
	// environmentGone is set once its environment was deleted.
	environmentGone bool
	ended           domain.DeploymentState
	accepted        bool
}

// good reports whether the deployment succeeded, or a person accepted it.
func (w *deploymentState) good() bool { return w.ended == domain.DeploymentSucceeded || w.accepted }

func (w *deploymentState) person() bool { return w.Kind != domain.Automatic }

// partState is a part whose claim counted.
type partState struct {
	deployment *deploymentState
	machine    *machineState
	claimed    eventlog.Position
	instance   domain.ID
	ended      bool
	result     domain.PartState
	reported   bool
	failedAt   time.Duration // when it ended without success
	before     string        // the release on the disk when the claim counted
	// watch is the verification of a part whose agent reported a success; nil before that, and without healthyFor.
	watch *verification
}

// holdState is a hold.
type holdState struct {
	instance   domain.ID
	release    string
	deployment *deploymentState // nil for a hold by command and after a restore
	set        eventlog.Position
	timed      bool
}

// holdsOf are the holds of a project on a machine, by kind. A new one replaces only the one of its kind.
type holdsOf map[domain.HoldKind]*holdState

// strongest returns the hold that counts: the one by command, else the one after a restore, else the newest. It returns
// nil without a hold.
func (k holdsOf) strongest() *holdState {
	if k[domain.ManualHold] != nil {
		return k[domain.ManualHold]
	}
	if k[domain.UnprovenHold] != nil {
		return k[domain.UnprovenHold]
	}
	var newest *holdState
	for _, hold := range k {
		if newest == nil || hold.set > newest.set {
			newest = hold
		}
	}
	return newest
}

// end removes the holds that match.
func (k holdsOf) end(match func(*holdState) bool) {
	maps.DeleteFunc(k, func(_ domain.HoldKind, hold *holdState) bool { return match(hold) })
}

func (l *ledger) applyLift(a *projectState, e domain.HoldLifted) {
	h := l.machines[e.Machine]
	if h == nil {
		return
	}
	r := l.installation(a, h)
	switch {
	case e.Reason == domain.Expired:
		r.holds.end(func(k *holdState) bool { return k.timed })
		return
	case e.Kind != "":
		delete(r.holds, e.Kind)
	default:
		clear(r.holds)
	}
	r.failures = 0
}

func (l *ledger) applyQueued(a *projectState, e domain.DeploymentQueued, rec eventlog.Recorded) {
	if l.deployments[domain.ID(rec.ID)] != nil {
		l.cluster.violate("law 12: a record is never reused", "%s was queued twice", domain.ID(rec.ID))
	}
	l.checkDeployable(a, e.Release)
	w := &deploymentState{DeploymentQueued: e, id: domain.ID(rec.ID), project: a, queued: rec.Position,
		covers: map[string]bool{}, shares: map[string]*share{}, parts: map[string]*partState{}}
	if w.person() {
		l.checkPerson(w)
		l.endReplaced(w, func(o *deploymentState, _ string) bool { return w.follows(o) })
		l.noteLacking(w)
		l.endReplaced(w, func(_ *deploymentState, machine string) bool { return l.goesTo(w, machine) })
	} else {
		l.checkAutomatic(w)
	}
	a.deployments = append(a.deployments, w)
	l.deployments[w.id] = w
	l.supersede(w)
	defer l.shareOut(w)
	if w.person() {
		l.cluster.checkScope(w)
	}
	for _, h := range l.machines {
		if w.person() && l.targets(w, h) {
			held := w.selects() && l.heldByPerson(a, h)
			w.covers[h.Name] = !held
			if !held || e.Kind == domain.EnvironmentWide {
				l.installation(a, h).failures = 0
			}
		}
	}
	if e.Kind == domain.EnvironmentWide {
		l.applyWide(w)
	}
}

// applyWide records what an environment-wide deployment means for machines without a part.
func (l *ledger) applyWide(w *deploymentState) {
	a, e := w.project, w.DeploymentQueued
	for _, h := range l.machines {
		switch {
		case !inScope(h, e.Environment, a.settings.Roles):
		case slices.Contains(e.Exclude, h.Name):
			l.holdAsItIs(w, h, domain.ExcludedHold)
		default:
			l.installation(a, h).failures = 0
		}
	}
	for _, kept := range l.cleanedUp {
		if inScope(kept.machineState, e.Environment, a.settings.Roles) && !slices.Contains(e.Exclude, kept.Name) {
			l.installation(a, kept.machineState).failures = 0
		}
	}
}

// applyDeployment records an event of a deployment, whether or not its project still exists.
func (l *ledger) applyDeployment(fact domain.Event) {
	defer l.applyShares(fact)
	switch e := fact.(type) {
	case domain.PartsWithdrawn:
		if w := l.deployments[e.Deployment]; w != nil && e.Reason == domain.NotClaimed && !w.project.gone {
			for _, name := range e.Machines {
				if h := l.known(name); h != nil && h.created < w.queued && w.parts[name] == nil {
					l.fail(w, h, h.Instance)
				}
			}
		}
	case domain.DeploymentCancelled:
		if w := l.deployments[e.Deployment]; w != nil && w.ended == "" && !w.cancelled {
			w.cancelled = true
			l.endVerifications(w)
			if !w.person() && !w.project.gone {
				l.holdCancelled(w)
			}
		}
	case domain.DeploymentAccepted:
		if w := l.deployments[e.Deployment]; w != nil && !w.project.gone {
			l.checkAccepted(w)
			l.checkDeployable(w.project, w.Release)
			w.accepted = true
			l.updateHolds(w)
			l.countTolerated(w)
		}
	case domain.DeploymentEnded:
		if w := l.deployments[e.Deployment]; w != nil && w.ended == "" {
			w.ended = e.State
			l.checkEnd(w)
			if w.person() && !w.repairs() && !w.project.gone && !w.environmentGone {
				l.updateHolds(w)
				l.countTolerated(w)
			}
		}
	}
}

func (l *ledger) holdCancelled(w *deploymentState) {
	for _, named := range w.Machines {
		h := l.known(named.Name)
		s := w.parts[named.Name]
		if h == nil || h.created > w.queued || s != nil && (s.result == domain.PartSucceeded || s.unverified() ||
			l.installation(w.project, h).last != s) {
			continue
		}
		l.holdAsItIs(w, h, domain.CancelledHold)
	}
}

// holdAsItIs holds a machine at its actual release. A new disk that should get the release of a hold still gets it.
func (l *ledger) holdAsItIs(w *deploymentState, h *machineState, kind domain.HoldKind) {
	hold := &holdState{instance: h.Instance, release: l.actual(w.project, h), deployment: w, set: l.at}
	holds := l.installation(w.project, h).holds
	if k := holds.strongest(); k != nil && !l.heldHere(w.project, h) {
		hold.instance, hold.release = k.instance, k.release
	}
	holds[kind] = hold
}

// updateHolds sets and ends holds after a person's deployment has ended.
func (l *ledger) updateHolds(w *deploymentState) {
	if w.good() && w.Kind == domain.EnvironmentWide {
		for h := range l.everyMachine() {
			if h.Environment == w.Environment && !slices.Contains(w.Exclude, h.Name) {
				l.installation(w.project, h).holds.end(func(k *holdState) bool { return w.outdates(k) || k.deployment == w })
			}
		}
		return
	}
	for _, s := range w.parts {
		r := l.installation(w.project, s.machine)
		switch {
		case l.known(s.machine.Name) != s.machine || r.person != nil && r.person.queued > w.queued:
		case w.ended != domain.DeploymentSucceeded:
			l.holdDisk(s, r, domain.FailedRolloutHold, l.left(s))
		case s.result != domain.PartSucceeded && w.MaxFailures != nil && w.Release == w.project.wantedIn(w.Environment):
		case s.result != domain.PartSucceeded:
			l.holdDisk(s, r, domain.FailedRolloutHold, l.left(s))
		default:
			r.holds.end(func(k *holdState) bool { return w.outdates(k) || k.deployment == nil && k.set < w.queued })
			if w.Release != w.project.wantedIn(w.Environment) {
				l.holdDisk(s, r, domain.NarrowedHold, w.Release)
			}
		}
	}
}

// countTolerated counts the failed parts of a deployment that succeeded as first attempts of the automatic retries.
func (l *ledger) countTolerated(w *deploymentState) {
	if !w.accepted && (w.MaxFailures == nil || w.ended != domain.DeploymentSucceeded) {
		return
	}
	for name := range w.shares {
		h := l.known(name)
		if h == nil || w.shares[name].created != h.created {
			continue
		}
		r := l.installation(w.project, h)
		s := r.last
		if s == nil || s.deployment != w && s.deployment.RetryOf != w.id || s.instance != h.Instance {
			continue
		}
		late := l.actual(w.project, h) == w.Release && !r.dirty
		if (s.result == domain.PartFailed || s.result == domain.PartLost) && !late {
			l.fail(w, h, s.instance)
			r.failedAt = s.failedAt
		}
	}
}

// checkAccepted checks that a person can accept a deployment only if that changes what is wanted, and shows that it works.
func (l *ledger) checkAccepted(w *deploymentState) {
	later := false
	for _, o := range w.project.deployments {
		later = later || o.queued > w.queued && o.Kind == domain.EnvironmentWide && o.Environment == w.Environment &&
			!o.environmentGone && (o.good() || o.ended == "")
	}
	worked := false
	for _, s := range w.parts {
		worked = worked || s.result == domain.PartSucceeded
	}
	if w.ended == "" || w.good() || w.Kind != domain.EnvironmentWide || later || !worked {
		l.cluster.violate("law 10: a person accepts only the last deployment, once it has ended and succeeded somewhere",
			"%s: ended %q, kind %s, later %t", l.cluster.transcript.deployment(w.id), w.ended, w.Kind, later)
	}
}

// outdates reports whether an earlier deployment left the hold.
func (w *deploymentState) outdates(k *holdState) bool {
	return k.deployment != nil && k.deployment.queued < w.queued
}

// left returns the release that a part left on its disk.
func (l *ledger) left(s *partState) string {
	switch {
	case s.machine.Instance == s.instance:
		return l.actual(s.deployment.project, s.machine)
	case s.result == domain.PartSucceeded || s.unverified():
		return s.deployment.Release
	}
	return s.before
}

// holdDisk holds the disk on which a part ran. A new disk is held at the release of the old one, and not at all if
// there was none.
func (l *ledger) holdDisk(s *partState, r *installation, kind domain.HoldKind, release string) {
	if s.machine.Instance == s.instance || release != "" {
		r.holds[kind] = &holdState{instance: s.instance, release: release, deployment: s.deployment, set: l.at}
	}
}

func (l *ledger) applyPart(name string, rec eventlog.Recorded, fact domain.Event) {
	id, machine, _ := domain.ParsePartStream(name)
	w := l.deployments[id]
	if w == nil {
		return
	}
	switch e := fact.(type) {
	case domain.PartClaimed:
		if l.judgeClaim(w, machine, e, rec.Position) {
			l.applyClaim(w, machine, e)
		}
	case domain.PartEnded:
		if s := w.parts[machine]; s != nil {
			l.applyEnd(s, e)
		} else if e.State == domain.PartSkipped {
			w.withdraw([]string{machine})
		}
	case domain.PartVerified:
		if s := w.parts[machine]; s != nil {
			l.applyVerified(s, e)
		}
	}
}

// applyClaim records a claim that counted.
func (l *ledger) applyClaim(w *deploymentState, machine string, e domain.PartClaimed) {
	h := l.machines[machine]
	s := &partState{deployment: w, machine: h, claimed: l.at, instance: e.Instance, result: domain.PartRunning,
		before: l.actual(w.project, h)}
	w.parts[machine], w.shares[machine].claimed, h.running, h.busy = s, true, s, true
	l.checkWave(w)
	r := l.installation(w.project, h)
	r.last = s
	if !w.person() {
		return
	}
	if r.person == nil || r.person.queued < w.queued {
		r.person = w
	}
	if !w.repairs() {
		r.holds.end(w.outdates)
	}
}

func (l *ledger) applyEnd(s *partState, e domain.PartEnded) {
	byAgent := e.ByAgent()
	here := l.known(s.machine.Name) == s.machine && !s.deployment.project.gone
	r := l.installation(s.deployment.project, s.machine)
	switch {
	case !s.ended && s.watch == nil && e.State == domain.PartSucceeded && s.deployment.HealthyFor > 0:
		s.reported = true
		if s.machine.running == s {
			s.machine.running = nil
		}
		l.beginVerification(s, r, here)
	case !s.ended && s.watch == nil:
		s.ended, s.result, s.reported = true, e.State, byAgent
		s.deployment.shares[s.machine.Name].ended = true
		if s.machine.running == s {
			s.machine.running = nil
		}
		if here {
			l.outcome(s, r)
			if s.deployment.repairs() {
				l.endRepair(s, r)
			}
		}
	case byAgent && !s.reported:
		s.reported = true
		if here && e.State == domain.PartSucceeded && r.last == s && s.instance == s.machine.Instance {
			l.success(s, r)
			r.failures = 0
		}
	}
}

func (l *ledger) outcome(s *partState, r *installation) {
	if s.result == domain.PartSucceeded {
		l.success(s, r)
		r.failures = 0
		if !s.deployment.person() {
			r.holds.end(func(k *holdState) bool { return k.deployment == s.deployment })
		}
		l.countCauses(s)
		l.serve(s)
		return
	}
	r.dirty, s.failedAt = true, l.cluster.now
	if !s.deployment.person() {
		l.fail(s.deployment, s.machine, s.instance)
	}
}

func (l *ledger) success(s *partState, r *installation) {
	r.release, r.instance, r.from, r.dirty = s.deployment.Release, s.instance, s.deployment.id, false
}

// fail counts a failed attempt.
func (l *ledger) fail(w *deploymentState, h *machineState, instance domain.ID) {
	r := l.installation(w.project, h)
	if r.failedInstance != instance || r.failedRelease != w.Release {
		r.failures = 0
	}
	r.failures, r.failedInstance, r.failedRelease, r.failedAt = r.failures+1, instance, w.Release, l.cluster.now
}

// attempts returns the number of failed attempts for the wanted release on the current instance.
func (l *ledger) attempts(a *projectState, h *machineState) int {
	r := l.installation(a, h)
	if r.failedInstance != h.Instance || r.failedRelease != l.wanted(a, h) {
		return 0
	}
	return r.failures
}
