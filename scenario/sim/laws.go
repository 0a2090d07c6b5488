package sim

import (
	"reflect"
	"slices"
	"time"

	"github.com/droverhq/drover/domain"
	"github.com/droverhq/drover/eventlog"
	"github.com/droverhq/drover/projections"
)

// checkPerson checks a person's deployment when it is queued.
func (l *ledger) checkPerson(w *deploymentState) {
	if pin, ok := w.project.pins[w.Environment]; ok && pin != w.Release {
		l.cluster.violate("law 16: what a person pinned stays", "%s was queued to %s, which is pinned to %s",
			w.Release, w.Environment, pin)
	}
	if _, there := w.project.releases[w.Release]; !there {
		l.cluster.violate("only releases are deployed", "%s of %s does not exist", w.Release, w.project.name)
	}
}

// retiredLaw is law 16 for releases.
const retiredLaw = "law 16: what a person retired stays so"

// checkDeployable checks that a release that is deployed, pinned or accepted is not retired.
func (l *ledger) checkDeployable(a *projectState, release string) {
	if a.retired[release] {
		l.cluster.violate(retiredLaw, "%s of %s was queued, pinned or accepted", release, a.name)
	}
}

// checkRetired checks that no machine can get a release that is being retired, except for holds.
func (l *ledger) checkRetired(a *projectState, release string) {
	for _, environment := range environments {
		if a.release(environment) == release || a.pins[environment] == release {
			l.cluster.violate(retiredLaw, "%s of %s was retired, although it is wanted in %s", release, a.name, environment)
		}
	}
	for _, w := range a.deployments {
		if w.Release == release && w.ended == "" {
			l.cluster.violate(retiredLaw, "%s of %s was retired during %s", release, a.name,
				l.cluster.transcript.deployment(w.id))
		}
	}
}

// applyStart records the start of a server, possibly with newer rules than all before.
func (l *ledger) applyStart(rec eventlog.Recorded, fact domain.Event) {
	l.watch.starts[domain.ID(rec.ID)] = rec.Position
	if e, ok := fact.(domain.ServerStarted); ok && e.DecisionVersion > l.fence {
		l.fence, l.fencedAt = e.DecisionVersion, rec.Position
	}
}

// checkFence checks that a server makes no decisions after it has read of newer rules.
func (l *ledger) checkFence(rec eventlog.Recorded, fact domain.Event) {
	o := l.origin
	if o.server == nil || max(1, o.rules) >= l.fence || o.from < l.fencedAt {
		return
	}
	if e, result := fact.(domain.PartEnded); result && e.ByAgent() {
		return
	}
	l.cluster.violate("law 7: a server that has read of newer rules decides nothing",
		"server %s with rules version %d wrote #%s %s", o.server.name, max(1, o.rules), rec.Position, domain.Name(fact))
}

// checkOffline checks a session that a server has ended: at the time of the decision, its agent must have been silent
// or its server must have been dead.
func (p *cluster) checkOffline(machine string, e domain.MachineWentOffline) {
	a := p.agents[machine]
	if a == nil || !a.reachable() || a.connect != e.Connect || e.Reason != domain.Silent &&
		e.Reason != domain.ServerGone {
		return
	}
	by := p.ledger.origin
	if awake := by.decided - by.server.woke; e.Reason == domain.Silent && awake >= 0 &&
		awake < time.Duration(domain.DefaultOfflineAfter) {
		p.violate("law 7: a server that wakes does not blame its machines",
			"server %s recorded %s as silent %s after it woke", by.server.name, machine, awake)
	}
	if a.since < by.decided && a.server.steady < by.decided && (a.server.steady < by.looked ||
		a.begun >= a.server.steady) {
		p.violate("law 7: no server ends a session whose heartbeats arrive",
			"server %s recorded %s as offline (%s), but server %s has received its heartbeats since %s",
			by.server.name, machine, e.Reason, a.server.name, clockText(max(a.since, a.server.steady)))
	}
}

// checkAutomatic checks an automatic deployment: each of its machines must have been due.
func (l *ledger) checkAutomatic(w *deploymentState) {
	if w.project.disabled {
		l.cluster.violate("law 20: a disabled project does nothing", "%s was queued for %s", w.Release, w.project.name)
	}
	for _, o := range w.project.deployments {
		if o.Kind == domain.EnvironmentWide && o.Environment == w.Environment && o.ended == "" && !o.environmentGone {
			l.cluster.violate("law 1: a machine that comes online during a rollout waits", "%s was queued during %s", w.Release,
				l.cluster.transcript.deployment(o.id))
		}
	}
	for _, named := range w.Machines {
		h := l.machines[named.Name]
		if h == nil {
			continue // deleted since the server last read the log; its part cannot be claimed
		}
		l.checkFit(w, h, named)
		for _, t := range named.Triggers {
			if r := w.project.triggers[t]; r == nil || r.disabled {
				l.cluster.violate("law 20: a disabled trigger does nothing", "trigger %s requested %s on %s", t,
					w.Release, named.Name)
			}
		}
		l.checkDue(w, h, named)
	}
}

// checkFit checks that the engine is allowed to queue the deployment for a machine.
func (l *ledger) checkFit(w *deploymentState, h *machineState, named domain.DeploymentMachine) {
	violate := l.cluster.violate
	open := len(w.project.openShares(h.Name)) + 1 // its own share is not recorded yet
	if open > 1 {
		violate("law 9: two triggers for one machine create one part", "%s was queued for %s, where %d parts of %s are open",
			w.Release, h.Name, open, w.project.name)
	}
	if named.Reason == "" || len(named.Triggers) == 0 {
		violate("law 26: every decision names its reason, its triggers and its causes", "%s was queued for %s: %+v",
			w.Release, h.Name, named)
	}
	if max(h.moved, l.checkedAt) > l.origin.from {
		return // its writer may not have read these events, and may not know that this is another machine
	}
	for _, id := range named.Causes {
		l.checkCause(w, h, named, id)
	}
	switch {
	case !inScope(h, w.Environment, w.project.settings.Roles):
		violate("law 14: people and the engine use the same scope", "%s was queued for %s, which is in %s as %v", w.Release,
			h.Name, h.Environment, h.Roles)
	case h.Disabled || !h.Online:
		violate("law 12: an automatic deployment goes to machines that are still eligible",
			"%s was queued for %s (disabled %v, online %v)", w.Release, h.Name, h.Disabled, h.Online)
	case h.blocked:
		violate("law 21: a machine whose agent cannot start parts uses up no attempts", "%s was queued for %s", w.Release, h.Name)
	case l.checked[h.Policy] && h.Health == domain.HealthUnknown:
		violate("law 25: nothing is deployed before the first result of the health check", "%s was queued for %s",
			w.Release, h.Name)
	}
	for q, asked := range l.requests {
		r := w.project.triggers[q.trigger]
		if q.key != (machineProject{h.Name, h.created, w.project.name, w.project.created}) || asked.at > l.origin.from ||
			r == nil || r.disabled {
			continue
		}
		if !slices.Contains(named.Triggers, q.trigger) {
			violate("law 9: no event hides another", "%s was queued for %s by %v, not by %s", w.Release, h.Name,
				named.Triggers, q.trigger)
		}
	}
}

// checkCause checks one cause of a queued part.
func (l *ledger) checkCause(w *deploymentState, h *machineState, named domain.DeploymentMachine, id domain.ID) {
	c, known := l.causes[id]
	if !known || c.machine != h.Name || c.position < h.created {
		l.cluster.violate("law 26: every decision names its reason, its triggers and its causes",
			"%s was queued for %s because of %s, which is not an event of that machine", w.Release, h.Name, id)
	}
	if !slices.ContainsFunc(named.Triggers, func(t string) bool {
		return w.project.triggers[t] != nil &&
			w.project.triggers[t].since < c.position
	}) {
		l.cluster.violate("law 19: a trigger counts events after its creation", "%s was queued for %s by %v because of #%s",
			w.Release, h.Name, named.Triggers, c.position)
	}
}

// checkScope checks in the fold which machines a person's deployment goes to.
func (p *cluster) checkScope(w *deploymentState) {
	d := p.audit.Deployments[w.id]
	for name, h := range p.ledger.machines {
		want := p.ledger.targets(w, h)
		if got := d != nil && d.Parts[name] != nil; got != want {
			p.violate("law 14: people and the engine use the same scope", "%s in %s as %v: part of %s %v, not %v", name,
				h.Environment, h.Roles, w.Release, got, want)
		}
	}
}

// checkDue checks that a machine of an automatic deployment was due: behind, or to be redeployed to. The state now or
// the state when the deciding server started its tick counts.
func (l *ledger) checkDue(w *deploymentState, h *machineState, named domain.DeploymentMachine) {
	r := l.installation(w.project, h)
	if wanted := l.wanted(w.project, h); wanted != w.Release && h.created < l.origin.from &&
		h.Environment == w.Environment {
		l.cluster.violate("law 13: automation deploys only the wanted release", "%s was queued for %s, which should have %q",
			w.Release, h.Name, wanted)
	}
	recent := r.upToDateSince > l.origin.from
	switch again := l.fresh(w.project, r, named); {
	case again:
	case named.Reason == "redeploy":
		l.cluster.violate("law 6: only external causes lead to a redeployment", "%s was queued again for %s by %v",
			w.Release, h.Name, named.Triggers)
	case !l.behind(w.project, h) && !recent:
		l.cluster.violate("law 8: only a machine that is behind is deployed to",
			"%s was queued for %s (%s), which already has it", w.Release, h.Name, named.Reason)
	}
	if l.heldHere(w.project, h) && h.Online {
		l.cluster.violate("law 16: a person's choice stays", "%s was queued for %s, which is held", w.Release, h.Name)
	}
	if n := l.attempts(w.project, h); n >= w.project.settings.Attempts && !recent {
		l.cluster.violate("law 17: after the last attempt a machine is left alone",
			"%s was queued for %s after %d attempts", w.Release, h.Name, n)
	} else if n > 0 && l.cluster.now-r.failedAt < growingDelay(w.project.settings.Backoff, n) {
		l.cluster.violate("law 17: a failing machine is retried with growing delay",
			"%s was queued for %s %s after attempt %d", w.Release, h.Name, l.cluster.now-r.failedAt, n)
	}
}

// growingDelay returns how long a machine waits after its n-th failed attempt: each time twice as long, at most an hour.
func growingDelay(backoff domain.Duration, n int) time.Duration {
	return min(time.Hour, time.Duration(backoff)<<min(n-1, 20))
}

// fresh reports whether a redeployment has an external cause after the machine's last start, and a trigger with
// redeploy.
func (l *ledger) fresh(a *projectState, r *installation, named domain.DeploymentMachine) bool {
	again := slices.ContainsFunc(named.Triggers, func(t string) bool {
		return a.triggers[t] != nil &&
			a.triggers[t].settings.Redeploy
	})
	return again && slices.ContainsFunc(named.Causes, func(id domain.ID) bool {
		c, known := l.causes[id]
		return known && c.fresh && c.machine == named.Name && (r.last == nil || c.position > r.last.claimed ||
			r.last.result != domain.PartSucceeded)
	})
}

// claimCounted returns whether the claim at a position counted in the fold.
func (p *cluster) claimCounted(deployment domain.ID, machine string, at eventlog.Position) bool {
	d := p.audit.Deployments[deployment]
	return d != nil && d.Parts[machine] != nil && d.Parts[machine].Claimed == at
}

// checkEnd compares the recorded end of a deployment with the results of its agents.
func (l *ledger) checkEnd(w *deploymentState) {
	for machine, s := range w.parts {
		if !s.ended {
			l.cluster.violate("a deployment ends after all its parts", "%s ended while %s runs its part",
				l.cluster.transcript.deployment(w.id), machine)
		}
		if s.result == domain.PartFailed && w.ended == domain.DeploymentSucceeded && w.MaxFailures == nil {
			l.cluster.violate("law 10: a deployment with a failed part does not succeed",
				"%s succeeded although it failed on %s", l.cluster.transcript.deployment(w.id), machine)
		}
	}
	l.checkLost(w)
	l.checkTolerance(w)
}

// checkTolerance checks that maxFailures decides whether a deployment succeeds, and that lost parts count.
func (l *ledger) checkTolerance(w *deploymentState) {
	if w.MaxFailures == nil {
		return
	}
	allowed, failures, successes := w.MaxFailures.Number, 0, 0
	if w.MaxFailures.Percent {
		allowed = allowed * len(w.shares) / 100
	}
	for _, s := range w.parts {
		if s.result == domain.PartFailed || s.result == domain.PartLost {
			failures++
		}
		if s.result == domain.PartSucceeded {
			successes++
		}
	}
	switch {
	case failures > 0 && successes == 0 && w.ended == domain.DeploymentSucceeded:
		l.cluster.violate("law 10: a release that failed on every machine is not wanted", "%s: %s with %d failures",
			l.cluster.transcript.deployment(w.id), w.ended, failures)
	case failures > allowed && w.ended != domain.DeploymentFailed:
		l.cluster.violate("law 27: a deployment with too many failures fails", "%s: %s with %d failures, allowed are %d",
			l.cluster.transcript.deployment(w.id), w.ended, failures, allowed)
	case failures <= allowed && successes > 0 && w.ended == domain.DeploymentFailed &&
		w.Unavailable != domain.FailUnavailable && len(w.Waves) == 0:
		l.cluster.violate("law 27: failures within maxFailures do not fail a deployment", "%s failed with %d of %d",
			l.cluster.transcript.deployment(w.id), failures, allowed)
	}
}

// checkLost checks that lost parts count against the limit on failures, if there is one.
func (l *ledger) checkLost(w *deploymentState) {
	lost := 0
	for _, s := range w.parts {
		if s.result == domain.PartLost {
			lost++
		}
	}
	if limit := w.StopAfterFailures; limit > 0 && lost >= limit && w.ended == domain.DeploymentSucceeded {
		l.cluster.violate("law 27: a deployment that lost parts stop does not succeed", "%s succeeded with %d lost parts",
			l.cluster.transcript.deployment(w.id), lost)
	}
}

// countCauses counts a success for each of its causes: a cause leads to one success (law 6). If triggers were switched
// or changed meanwhile, the same cause can lead to one success for each of them.
func (l *ledger) countCauses(s *partState) {
	for _, named := range s.deployment.Machines {
		if named.Name != s.machine.Name || s.deployment.project.triggersChanged {
			continue
		}
		for _, c := range named.Causes {
			key := causeKey{s.machine.Name, s.machine.created, s.deployment.project.name, c}
			if l.successes[key]++; l.successes[key] > 1 {
				l.cluster.violate("law 6: a cause leads to one deployment", "%s on %s succeeded twice for one event",
					s.deployment.project.name, s.machine.Name)
			}
		}
	}
}

// checkAlways checks the safety properties: it compares the fold with the ledger and the agents.
func (p *cluster) checkAlways() {
	v := p.audit
	if found := v.Inconsistencies(); found != "" {
		p.violate("law 2: a tick finds everything that a full scan finds", "%s", found)
	}
	p.checkAside()
	p.checkVerifying()
	for name, a := range p.ledger.projects {
		project := v.Projects[name]
		if project == nil {
			p.violate("the fold knows its projects", "project %s is missing", name)
			return
		}
		for _, environment := range environments {
			if got, want := project.ReleaseIn(environment), a.release(environment); got != want {
				p.violate("law 10: only a person's environment-wide success changes the wanted release",
					"%s in %s: %q in the fold, %q in the log", name, environment, got, want)
			}
			p.checkSlots(project, environment)
			p.checkRoleSlots(a, project, environment)
		}
		for _, h := range p.ledger.machines {
			p.checkInstallation(project, a, h)
		}
	}
}

// checkSlots checks the number of parts that can run at the same time.
func (p *cluster) checkSlots(project *projections.Project, environment string) {
	count, bound, bounded := 0, 0, true
	for _, d := range project.Open {
		if d.Environment != environment {
			continue
		}
		here := 0
		for _, part := range d.Parts {
			if part.State == domain.PartReleased || part.State == domain.PartRunning ||
				part.State == domain.PartVerifying {
				here++
			}
		}
		if count += here; here > 0 {
			bound, bounded = max(bound, d.Slots()), bounded && d.Slots() > 0
		}
	}
	if bounded && count > bound {
		p.violate("at most maxParallel parts are released", "%s in %s: %d, at most %d", project.Name, environment,
			count, bound)
	}
	if count != project.Released(environment) {
		p.violate("at most maxParallel parts are released", "%s in %s: the fold counts %d parts, but there are %d",
			project.Name, environment, project.Released(environment), count)
	}
}

// checkRoleSlots checks the number of parts that can run at the same time on machines with a role. A machine can get a role
// while its part runs, so the roles are those of the release.
func (p *cluster) checkRoleSlots(a *projectState, project *projections.Project, environment string) {
	for _, role := range []string{"web", "db"} {
		bound, bounded, taken := 0, true, 0
		for _, w := range a.deployments {
			if w.Environment != environment {
				continue
			}
			here := 0
			for _, s := range w.shares {
				if s.released && !s.ended && slices.Contains(s.roles, role) {
					here++
				}
			}
			if taken += here; here > 0 {
				bound, bounded = max(bound, w.RoleSlots[role]), bounded && w.RoleSlots[role] > 0
			}
		}
		if bounded && taken > bound || taken != project.ReleasedOn(environment, role) {
			p.violate("the parts on machines of a role are at most its maxParallel", "%s in %s, role %s: %d in the log, %d in "+
				"the fold, at most %d", project.Name, environment, role, taken, project.ReleasedOn(environment, role), bound)
		}
	}
}

// checkInstallation compares the state of one project on one machine: hold, attempts and the content of the disk.
func (p *cluster) checkInstallation(project *projections.Project, a *projectState, h *machineState) {
	v, m, r := p.audit, p.audit.Machines[h.Name], p.ledger.installation(a, h)
	if m == nil {
		p.violate("the fold knows its machines", "machine %s is missing", h.Name)
		return
	}
	held := 0
	if i := m.Installed[a.name]; i != nil {
		held = len(i.Holds)
	}
	switch k, hold := r.holds.strongest(), m.Hold(a.name); {
	case held != len(r.holds):
		p.violate("law 16: a person's choices stay side by side", "%s of %s: %d holds in the fold and %d in the log", h.Name,
			a.name, held, len(r.holds))
	case k != nil && (k.instance != hold.Instance || k.release != hold.Release ||
		(k.deployment == nil) != hold.Deployment.IsZero()):
		p.violate("law 16: a person's choice stays", "%s of %s: the fold holds it at %q, the log at %q", h.Name, a.name,
			hold.Release, k.release)
	}
	if got, want := v.Actual(project, m), p.ledger.actual(a, h); got != want {
		p.violate("law 11: only the machine's own success changes the actual release",
			"%s of %s: %q in the fold, %q in the log", h.Name, a.name, got, want)
	}
	if got, want := v.Behind(project, m), p.ledger.behind(a, h); got != want {
		p.violate("law 11: a failed attempt leaves a machine dirty", "%s of %s: behind is %v in the fold and %v in the log",
			h.Name, a.name, got, want)
	}
	if count, _ := v.Attempts(project, m); count != p.ledger.attempts(a, h) {
		p.violate("law 17: attempts are counted", "%s of %s: %d in the fold, %d in the log", h.Name, a.name, count,
			p.ledger.attempts(a, h))
	}
	p.checkDisk(project, m)
}

// checkVerified checks that the machine stayed healthy for long enough, and that it was heard from after that.
func (p *cluster) checkVerified(s *partState) {
	const law = "law 28: a part succeeds when its machine has stayed healthy"
	required, deployment := time.Duration(s.deployment.HealthyFor), p.transcript.deployment(s.deployment.id)
	switch a := p.agents[s.machine.Name]; {
	case p.ledger.machines[s.machine.Name] != s.machine || s.machine.Instance != s.instance:
		p.violate(law, "%s succeeded on %s, which is gone", deployment, s.machine.Name)
	case !s.watch.steady:
		p.violate(law, "%s succeeded on %s, which is offline or unhealthy", deployment, s.machine.Name)
	case p.ledger.origin.decided-s.watch.since <= required:
		p.violate(law, "%s succeeded on %s after %s, not %s", deployment, s.machine.Name,
			p.ledger.origin.decided-s.watch.since, required)
	case a == nil || a.heard-s.watch.since <= required:
		p.violate(law, "%s succeeded on %s, which was not heard from after %s", deployment, s.machine.Name, required)
	}
}

// checkVerifying compares which parts the fold verifies with those of the log.
func (p *cluster) checkVerifying() {
	for id, w := range p.ledger.deployments {
		d := p.audit.Deployments[id]
		for machine, s := range w.parts {
			if d == nil || d.Parts[machine] == nil {
				continue
			}
			if got, want := d.Parts[machine].State == domain.PartVerifying, s.verifying(); got != want {
				p.violate("law 28: a part succeeds when its machine has stayed healthy",
					"%s on %s: verifying is %v in the fold and %v in the log", p.transcript.deployment(id), machine, got, want)
			}
		}
	}
}

// checkDisk compares the actual release with the content of the disk.
func (p *cluster) checkDisk(project *projections.Project, m *projections.Machine) {
	a, actual := p.agents[m.Name], p.audit.Actual(project, m)
	if a == nil || a.instance != m.Instance || actual == "" || p.audit.Dirty(project, m) || a.unstated {
		return
	}
	if c := a.disk[projectIncarnation{project.Name, project.Defined}]; !c.unreported && (c.broken || c.release != actual) {
		p.violate("law 11: the actual release is on the machine's disk",
			"%s of %s: %q in the fold, %q on the disk (broken: %v)", m.Name, project.Name, actual, c.release, c.broken)
	}
}

// compare compares every server's view, and a new fold of the whole log, with the view that was folded event by event.
// Equal logs must give equal views, independent of the page boundaries.
func (p *cluster) compare() {
	for _, s := range p.servers {
		if s.running() && p.succeeded(s, "read", s.engine.CatchUp(p.ctx)) && s.view().Position == p.audit.Position {
			p.same("server "+s.name, s.view())
		}
	}
	fresh := emptyView()
	for rec := range p.log.ReadAll(p.ctx, 0, 0) {
		fresh.Apply(rec)
	}
	fresh.Touched()
	p.same("a fold from the beginning", fresh)
}

func (p *cluster) same(whose string, v *projections.View) {
	if !reflect.DeepEqual(v, p.audit) {
		p.violate("law 4: no event is missed: equal logs give equal views",
			"%s differs from the event-by-event fold at #%s:\n%s", whose, v.Position, difference(dump(p.audit), dump(v)))
	}
}
