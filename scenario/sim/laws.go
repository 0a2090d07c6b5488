package sim

import (
	"reflect"
	"slices"
	"time"

	"github.com/droverhq/drover/domain"
	"github.com/droverhq/drover/eventlog"
	"github.com/droverhq/drover/policies"
	"github.com/droverhq/drover/projections"
	"github.com/droverhq/drover/triggers"
)

// checkPerson looks at a person's deployment when it is queued.
func (l *ledger) checkPerson(w *wave) {
	if pin, ok := w.app.pins[w.Environment]; ok && pin != w.Release {
		l.plant.breaks("law 16: what a person pinned stays", "%s was queued to %s, which is pinned to %s", w.Release, w.Environment, pin)
	}
	if _, there := w.app.releases[w.Release]; !there {
		l.plant.breaks("only releases are deployed", "%s of %s does not exist", w.Release, w.app.name)
	}
}

// noteStart takes note of a server that starts, perhaps with newer rules than all before.
func (l *ledger) noteStart(rec eventlog.Recorded, fact domain.Event) {
	l.watch.starts[domain.ID(rec.ID)] = rec.Position
	if e, ok := fact.(domain.ServerStarted); ok && e.DecisionVersion > l.fence {
		l.fence, l.fencedAt = e.DecisionVersion, rec.Position
	}
}

// checkFence looks whether a server that had read of newer rules has still decided something.
func (l *ledger) checkFence(rec eventlog.Recorded, fact domain.Event) {
	o := l.origin
	if o.server == nil || max(1, o.rules) >= l.fence || o.from < l.fencedAt {
		return
	}
	if e, result := fact.(domain.PartEnded); result && e.ByAgent() {
		return
	}
	l.plant.breaks("law 7: a server that has read of newer rules decides nothing", "server %s, which decides by rules %d, wrote #%s %s", o.server.name, max(1, o.rules), rec.Position, domain.Name(fact))
}

// checkOffline looks at a session that a server has ended by itself: neither may its agent have been heard, nor its server
// have lived, since before that was decided.
func (p *plant) checkOffline(machine string, e domain.MachineWentOffline) {
	a := p.agents[machine]
	if a == nil || !a.talks() || a.connect != e.Connect || e.Reason != policies.Silent && e.Reason != policies.ServerGone {
		return
	}
	by := p.ledger.origin
	if awake := by.decided - by.server.woke; e.Reason == policies.Silent && awake >= 0 && awake < time.Duration(domain.DefaultOfflineAfter) {
		p.breaks("law 7: a server that wakes does not blame its machines", "server %s says that %s is silent, %s after it woke", by.server.name, machine, awake)
	}
	if a.since < by.decided && a.server.steady < by.decided && (a.server.steady < by.looked || a.begun >= a.server.steady) {
		p.breaks("law 7: nobody ends a session that its server hears", "server %s says that %s is offline (%s), which server %s hears since %s",
			by.server.name, machine, e.Reason, a.server.name, clockText(max(a.since, a.server.steady)))
	}
}

// checkAutomatic looks at what the engine queued: each of its machines must have been due.
func (l *ledger) checkAutomatic(w *wave) {
	if w.app.disabled {
		l.plant.breaks("law 20: a disabled project does nothing", "%s was queued for %s", w.Release, w.app.name)
	}
	for _, o := range w.app.waves {
		if o.Kind == domain.EnvironmentWide && o.Environment == w.Environment && o.ended == "" && !o.adrift {
			l.plant.breaks("law 1: a machine that comes online while its project is being deployed to waits", "%s was queued during %s", w.Release, l.plant.story.deployment(o.id))
		}
	}
	for _, named := range w.Machines {
		h := l.hosts[named.Name]
		if h == nil {
			continue // deleted since the server read on; its part cannot be claimed
		}
		l.checkFit(w, h, named)
		for _, t := range named.Triggers {
			if r := w.app.triggers[t]; r == nil || r.disabled {
				l.plant.breaks("law 20: a disabled trigger does nothing", "trigger %s asked for %s on %s", t, w.Release, named.Name)
			}
		}
		l.checkDue(w, h, named)
	}
}

// checkFit looks whether the deployment as a whole, and each of its machines, is what the engine may queue.
func (l *ledger) checkFit(w *wave, h *host, named domain.DeploymentMachine) {
	breaks := l.plant.breaks
	open := 0
	for _, part := range l.plant.audit.OpenPartsOn(h.Name) {
		if part.Deployment.Project.Name == w.app.name && part.Deployment.Project.Defined == w.app.life {
			open++
		}
	}
	if open > 1 {
		breaks("law 9: two triggers over one machine make one part", "%s was queued for %s, where %d parts of %s are open", w.Release, h.Name, open, w.app.name)
	}
	if named.Reason == "" || len(named.Triggers) == 0 {
		breaks("law 26: every decision names its reason, its triggers and its causes", "%s was queued for %s: %+v", w.Release, h.Name, named)
	}
	if max(h.moved, l.checkedAt) > l.origin.from {
		return // its writer may not have known, not even that this is another machine of the name
	}
	for _, id := range named.Causes {
		l.checkCause(w, h, named, id)
	}
	switch {
	case !inScope(h, w.Environment, w.app.settings.Roles):
		breaks("law 14: people and the engine use one scope", "%s was queued for %s, which is in %s as %v", w.Release, h.Name, h.Environment, h.Roles)
	case h.Disabled || !h.Online:
		breaks("law 12: an automatic deployment goes to machines that are still eligible", "%s was queued for %s (disabled %v, online %v)",
			w.Release, h.Name, h.Disabled, h.Online)
	case l.checked[h.Policy] && h.Health == domain.HealthUnknown:
		breaks("law 25: nothing is deployed before the first result of the health check", "%s was queued for %s", w.Release, h.Name)
	}
	for q, asked := range l.requests {
		r := w.app.triggers[q.trigger]
		if q.file != (file{h.Name, h.life, w.app.name, w.app.life}) || asked.at > l.origin.from || r == nil || r.disabled {
			continue
		}
		if !slices.Contains(named.Triggers, q.trigger) {
			breaks("law 9: an event beside another hides neither", "%s was queued for %s by %v, not by %s", w.Release, h.Name, named.Triggers, q.trigger)
		}
	}
}

// checkCause looks at one event for which something was queued.
func (l *ledger) checkCause(w *wave, h *host, named domain.DeploymentMachine, id domain.ID) {
	c, known := l.causes[id]
	if !known || c.machine != h.Name || c.position < h.life {
		l.plant.breaks("law 26: every decision names its reason, its triggers and its causes", "%s was queued for %s because of %s, which is no event of it", w.Release, h.Name, id)
	}
	if !slices.ContainsFunc(named.Triggers, func(t string) bool { return w.app.triggers[t] != nil && w.app.triggers[t].since < c.position }) {
		l.plant.breaks("law 19: a trigger counts events after its own creation", "%s was queued for %s by %v because of #%s", w.Release, h.Name, named.Triggers, c.position)
	}
}

// checkScope looks which machines an environment-wide deployment goes to.
func (l *ledger) checkScope(w *wave) {
	d := l.plant.audit.Deployments[w.id]
	for name, h := range l.hosts {
		want := inScope(h, w.Environment, w.app.settings.Roles) && !slices.Contains(w.Exclude, name)
		if got := d != nil && d.Parts[name] != nil; got != want {
			l.plant.breaks("law 14: people and the engine use one scope", "%s in %s as %v: part of %s %v, not %v", name, h.Environment, h.Roles, w.Release, got, want)
		}
	}
}

// checkDue says whether one machine of an automatic deployment was due: behind, or to be redeployed to, in
// its own log or in that which the deciding server had read when its tick began.
func (l *ledger) checkDue(w *wave, h *host, named domain.DeploymentMachine) {
	r := l.record(w.app, h)
	if wanted := l.wanted(w.app, h); wanted != w.Release && h.life < l.origin.from && h.Environment == w.Environment {
		l.plant.breaks("law 13: automation brings what is wanted", "%s was queued for %s, which should have %q", w.Release, h.Name, wanted)
	}
	recent := r.level > l.origin.from
	switch again := l.fresh(w.app, r, named); {
	case again:
	case named.Reason == string(triggers.Redeploy):
		l.plant.breaks("law 6: only what came from outside asks for a redeployment", "%s was queued again for %s by %v", w.Release, h.Name, named.Triggers)
	case !l.behind(w.app, h) && !recent:
		l.plant.breaks("law 8: only a machine that is behind gets something", "%s was queued for %s (%s), which has it", w.Release, h.Name, named.Reason)
	}
	if l.heldHere(w.app, h) && h.Online {
		l.plant.breaks("law 16: what a person chose stays", "%s was queued for %s, which is held", w.Release, h.Name)
	}
	if n := l.attempts(w.app, h); n >= w.app.settings.Attempts && !recent {
		l.plant.breaks("law 17: after the last attempt a machine is left alone", "%s was queued for %s after %d attempts", w.Release, h.Name, n)
	} else if n > 0 && l.plant.now-r.failedAt < triggers.Delay(w.app.settings.Backoff, n) {
		l.plant.breaks("law 17: a machine on which it fails is retried with growing delay", "%s was queued for %s %s after attempt %d",
			w.Release, h.Name, l.plant.now-r.failedAt, n)
	}
}

// fresh says that a redeployment has a cause from outside which lies behind the machine's last start, on a trigger with redeploy.
func (l *ledger) fresh(a *app, r *record, named domain.DeploymentMachine) bool {
	again := slices.ContainsFunc(named.Triggers, func(t string) bool { return a.triggers[t] != nil && a.triggers[t].settings.Redeploy })
	return again && slices.ContainsFunc(named.Causes, func(id domain.ID) bool {
		c, known := l.causes[id]
		return known && c.fresh && c.machine == named.Name && (r.last == nil || c.position > r.last.claimed || r.last.result != domain.PartSucceeded)
	})
}

// checkClaim is the gate in plain words: what was claimed here must be right to start.
func (l *ledger) checkClaim(w *wave, h *host, machine string, e domain.PartClaimed) {
	claim := l.plant.story.deployment(w.id) + " (" + w.Release + ") by " + machine
	breaks := func(why string) {
		l.plant.breaks("law 13: the gate is looked at when execution starts", "the claim of %s counted, though %s", claim, why)
	}
	switch {
	case h == nil || h.life > w.queued:
		breaks("its machine was deleted")
		return
	case h.Disabled:
		breaks("its machine is disabled")
	case !h.Online:
		breaks("its machine is offline")
	case h.Session != e.Session || h.Instance != e.Instance:
		breaks("its session is not the newest")
	case w.app.gone || w.app.disabled:
		breaks("its project is disabled or gone")
	case w.cancelled || w.ended != "":
		breaks("its deployment is cancelled or has ended")
	case !inScope(h, w.Environment, w.app.settings.Roles):
		breaks("its machine is out of scope")
	case w.shares[machine] != nil:
		breaks("it was claimed before")
	case l.superseded(w, machine):
		breaks("a person's later deployment covers its machine")
	case l.checked[h.Policy] && h.Health == domain.HealthUnknown:
		l.plant.breaks("law 25: nothing is deployed before the first result of the health check", "the claim of %s counted", claim)
	}
	if h.running != nil {
		l.plant.breaks("one counting claim is open on a machine", "the claim of %s counted while %s is running", claim, l.plant.story.deployment(h.running.wave.id))
	}
	if !w.person() {
		l.checkAutomaticClaim(w, h, claim)
	}
}

func (l *ledger) checkAutomaticClaim(w *wave, h *host, claim string) {
	breaks := func(law, why string) { l.plant.breaks(law, "the claim of %s counted, though %s", claim, why) }
	named := slices.IndexFunc(w.Machines, func(m domain.DeploymentMachine) bool { return m.Name == h.Name })
	asks := func(name string) bool {
		r := w.app.triggers[name]
		return r != nil && !r.disabled && r.asks(w.app, h)
	}
	switch {
	case l.heldHere(w.app, h):
		breaks("law 16: what a person chose stays", "its machine is held")
	case l.wanted(w.app, h) != w.Release:
		breaks("law 13: automation brings what is wanted", "its machine should have "+l.wanted(w.app, h))
	case !slices.ContainsFunc(w.Machines[named].Triggers, asks):
		breaks("law 20: a disabled trigger does nothing", "none of its triggers asks any more")
	}
}

// superseded says that a person has queued something else for the machine since.
func (l *ledger) superseded(w *wave, machine string) bool {
	return slices.ContainsFunc(w.app.waves, func(o *wave) bool {
		whole := o.Kind == domain.EnvironmentWide && w.Kind == domain.EnvironmentWide && o.Environment == w.Environment
		return o.queued > w.queued && o.person() && !o.adrift && (whole || o.covers[machine])
	})
}

// checkEnd looks at how a deployment is said to have ended: it is its agents who know.
func (l *ledger) checkEnd(w *wave) {
	for machine, s := range w.shares {
		if !s.ended {
			l.plant.breaks("a deployment ends when all its parts have", "%s ended while %s runs its part", l.plant.story.deployment(w.id), machine)
		}
		if s.result == domain.PartFailed && w.ended == domain.DeploymentSucceeded {
			l.plant.breaks("law 10: only a success is one", "%s succeeded, though it failed on %s", l.plant.story.deployment(w.id), machine)
		}
	}
}

// countCauses counts a success for each cause that led to it: a cause is served once (law 6). Where triggers
// were switched or changed meanwhile one may be served after the other.
func (l *ledger) countCauses(s *share) {
	for _, named := range s.wave.Machines {
		if named.Name != s.host.Name || s.wave.app.unsteady {
			continue
		}
		for _, c := range named.Causes {
			key := served{s.host.Name, s.host.life, s.wave.app.name, c}
			if l.served[key]++; l.served[key] > 1 {
				l.plant.breaks("law 6: a cause leads to one deployment", "%s on %s was served twice for one event", s.wave.app.name, s.host.Name)
			}
		}
	}
}

// never looks at what the fold says against what is known without it.
func (p *plant) never() {
	v := p.audit
	if found := v.Inconsistencies(); found != "" {
		p.breaks("law 2: a tick looks at all that a walk over everything would find", "%s", found)
	}
	p.checkAside()
	for name, a := range p.ledger.apps {
		project := v.Projects[name]
		if project == nil {
			p.breaks("the fold knows its projects", "project %s is missing", name)
			return
		}
		for _, environment := range environments {
			if got, want := project.ReleaseIn(environment), a.release(environment); got != want {
				p.breaks("law 10: only a person's environment-wide success changes what is wanted", "%s in %s: the fold says %q, the log %q", name, environment, got, want)
			}
			p.checkRoom(project, environment)
		}
		for _, h := range p.ledger.hosts {
			p.checkStanding(project, a, h)
		}
	}
}

// checkRoom counts the parts that may run at once.
func (p *plant) checkRoom(project *projections.Project, environment string) {
	count, bound, bounded := 0, 0, true
	for _, d := range project.Open {
		if d.Environment != environment {
			continue
		}
		here := 0
		for _, part := range d.Parts {
			if part.State == domain.PartReleased || part.State == domain.PartRunning {
				here++
			}
		}
		if count += here; here > 0 {
			bound, bounded = max(bound, d.Facts.MaxParallel), bounded && d.Facts.MaxParallel > 0
		}
	}
	if bounded && count > bound {
		p.breaks("no more parts are released than maxParallel", "%s in %s: %d, at most %d", project.Name, environment, count, bound)
	}
	if count != project.Released(environment) {
		p.breaks("no more parts are released than maxParallel", "%s in %s: the fold counts %d, there are %d", project.Name, environment, project.Released(environment), count)
	}
}

// checkStanding compares one machine and project: hold, attempts, and what is really on the disk.
func (p *plant) checkStanding(project *projections.Project, a *app, h *host) {
	v, m, r := p.audit, p.audit.Machines[h.Name], p.ledger.record(a, h)
	if m == nil {
		p.breaks("the fold knows its machines", "machine %s is missing", h.Name)
		return
	}
	var hold *domain.Hold
	if i := m.Installed[a.name]; i != nil {
		hold = i.Hold
	}
	switch k := r.keep; {
	case (k == nil) != (hold == nil):
		p.breaks("law 16: what a person chose stays", "%s of %s: the fold says held %v, the log says %v", h.Name, a.name, hold != nil, k != nil)
	case k != nil && (k.instance != hold.Instance || k.release != hold.Release || (k.wave == nil) != hold.Deployment.IsZero()):
		p.breaks("law 16: what a person chose stays", "%s of %s: the fold holds it at %q, the log at %q", h.Name, a.name, hold.Release, k.release)
	}
	if got, want := v.Actual(project, m), p.ledger.actual(a, h); got != want {
		p.breaks("law 11: actual is written by the machine's own success alone", "%s of %s: the fold says %q, the log %q", h.Name, a.name, got, want)
	}
	if got, want := v.Behind(project, m), p.ledger.behind(a, h); got != want {
		p.breaks("law 11: a failed attempt leaves a machine dirty", "%s of %s: the fold says behind %v, the log %v", h.Name, a.name, got, want)
	}
	if count, _ := v.Attempts(project, m); count != p.ledger.attempts(a, h) {
		p.breaks("law 17: attempts are counted", "%s of %s: the fold counts %d, the log %d", h.Name, a.name, count, p.ledger.attempts(a, h))
	}
	p.checkDisk(project, m)
}

// checkDisk asks the machine itself what it has.
func (p *plant) checkDisk(project *projections.Project, m *projections.Machine) {
	a, actual := p.agents[m.Name], p.audit.Actual(project, m)
	if a == nil || a.instance != m.Instance || actual == "" || p.audit.Dirty(project, m) {
		return
	}
	if c := a.disk[projectLife{project.Name, project.Defined}]; !c.secret && (c.broken || c.release != actual) {
		p.breaks("law 11: actual is what the machine really has", "%s of %s: the fold says %q, the disk has %q (broken: %v)", m.Name, project.Name, actual, c.release, c.broken)
	}
}

// compare holds every server's fold, and a fold of the log from its beginning, against the fold that was made
// event by event: equal logs give equal views, whatever the pages cut.
func (p *plant) compare() {
	for _, s := range p.servers {
		if s.live() && p.survived(s, "read", s.engine.CatchUp(p.ctx)) && s.view().Position == p.audit.Position {
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

func (p *plant) same(whose string, v *projections.View) {
	if !reflect.DeepEqual(v, p.audit) {
		p.breaks("law 4: no event is missed: equal logs give equal views", "%s differs from the fold event by event at #%s:\n%s", whose, v.Position, difference(dump(p.audit), dump(v)))
	}
}
