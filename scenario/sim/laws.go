package sim

import (
	"reflect"
	"slices"

	"github.com/droverhq/drover/domain"
	"github.com/droverhq/drover/projections"
	"github.com/droverhq/drover/triggers"
)

// checkPerson looks at a person's deployment when it is queued.
func (l *ledger) checkPerson(w *wave) {
	if pin, ok := w.app.pins[w.Environment]; ok && pin != w.Release {
		l.plant.breaks("law 16: what a person pinned stays", "%s was queued to %s, which is pinned to %s", w.Release, w.Environment, pin)
	}
	if !w.app.releases[w.Release] {
		l.plant.breaks("only releases are deployed", "%s of %s does not exist", w.Release, w.app.name)
	}
}

// checkAutomatic looks at what the engine queued: each of its machines must have been due.
func (l *ledger) checkAutomatic(w *wave) {
	if w.app.disabled {
		l.plant.breaks("law 20: a disabled project does nothing", "%s was queued for %s", w.Release, w.app.name)
	}
	for _, named := range w.Machines {
		h := l.hosts[named.Name]
		if h == nil {
			continue // deleted since the server read on; its part cannot be claimed
		}
		for _, t := range named.Triggers {
			if r := w.app.triggers[t]; r == nil || r.disabled {
				l.plant.breaks("law 20: a disabled trigger does nothing", "trigger %s asked for %s on %s", t, w.Release, named.Name)
			}
		}
		l.checkDue(w, h, named)
	}
}

// checkDue says whether one machine of an automatic deployment was due: behind, or to be redeployed to, in
// its own log or in that which the deciding server had read when its tick began.
func (l *ledger) checkDue(w *wave, h *host, named domain.DeploymentMachine) {
	r := l.record(w.app, h)
	if wanted := l.wanted(w.app, h); wanted != w.Release && h.life < l.from && h.Environment == w.Environment {
		l.plant.breaks("law 13: automation brings what is wanted", "%s was queued for %s, which should have %q", w.Release, h.Name, wanted)
	}
	recent := r.level > l.from
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
	case h.Policy == "checked" && h.Health == domain.HealthUnknown:
		breaks("the health of its machine is not known")
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
		return o.queued > w.queued && o.person() && (whole || o.covers[machine])
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
	fresh := projections.New()
	for rec := range p.log.ReadAll(p.ctx, 0, 0) {
		fresh.Apply(rec)
	}
	fresh.Touched()
	p.same("a fold from the beginning", fresh)
}

func (p *plant) same(whose string, v *projections.View) {
	if !reflect.DeepEqual(v, p.audit) {
		p.breaks("equal logs give equal views", "%s differs from the fold event by event at #%s:\n%s", whose, v.Position, difference(dump(p.audit), dump(v)))
	}
}
