package sim

import (
	"slices"

	"github.com/droverhq/drover/domain"
	"github.com/droverhq/drover/eventlog"
)

// request is an event that made a machine due for a trigger and that nothing has settled yet. The ledger keeps
// them by itself: the sweep of the product would hide that the product has forgotten one.
type request struct {
	file    file
	trigger string
}

// asked is the newest event that did, and of which category.
type asked struct {
	at       eventlog.Position
	category domain.Category
}

// ask opens a request for every trigger that looks at what has happened to the machine, there and then.
func (l *ledger) ask(h *host, fact domain.Event) {
	category, named := domain.CategoryOf(fact)
	if !named || !category.Opens() {
		return
	}
	for _, a := range l.apps {
		for name, r := range a.triggers {
			members, _ := domain.Expand(r.settings.Events)
			if !a.disabled && !r.disabled && slices.Contains(members, category) && l.places[h.Environment] && r.asks(a, h) {
				l.requests[request{file{h.Name, h.life, a.name, a.life}, name}] = asked{l.at, category}
			}
		}
	}
}

// asks says that the trigger looks at the machine.
func (r *rule) asks(a *app, h *host) bool {
	where := slices.Contains(r.settings.Environments, "*") || slices.Contains(r.settings.Environments, h.Environment)
	return where && inScope(h, h.Environment, a.settings.Roles) && inScope(h, h.Environment, r.settings.Roles)
}

// serve drops the requests that an automatic deployment was queued for, once it has succeeded.
func (l *ledger) serve(s *share) {
	for q, when := range l.requests {
		if q.file.machine == s.host.Name && q.file.project == s.wave.app.name && when.at < s.wave.queued && slices.ContainsFunc(s.wave.Machines,
			func(m domain.DeploymentMachine) bool {
				return m.Name == s.host.Name && slices.Contains(m.Triggers, q.trigger)
			}) {
			delete(l.requests, q)
		}
	}
}

// settle drops the requests that need nothing any more: nobody asks, or the machine has what it should have
// and no person's deployment is under way there.
func (l *ledger) settle() {
	for q := range l.requests {
		a, h := l.apps[q.file.project], l.hosts[q.file.machine]
		if a == nil || h == nil || a.life != q.file.appSince || h.life != q.file.host {
			delete(l.requests, q)
			continue
		}
		r := a.triggers[q.trigger]
		if r == nil || !l.places[h.Environment] || !r.asks(a, h) || l.wanted(a, h) != "" && !l.behind(a, h) && !l.personAtWork(a, h) {
			delete(l.requests, q)
		}
	}
}

func (l *ledger) personAtWork(a *app, h *host) bool {
	wide := slices.ContainsFunc(a.waves, func(w *wave) bool {
		return w.Kind == domain.EnvironmentWide && w.Environment == h.Environment && w.ended == "" && !w.adrift
	})
	if wide {
		return true
	}
	for _, part := range l.plant.audit.OpenPartsOn(h.Name) {
		if part.Deployment.Kind != domain.Automatic && part.Deployment.Project.Name == a.name {
			return true
		}
	}
	return false
}

// forgotten looks, when everything rests, for a request that nothing came of.
func (l *ledger) forgotten() {
	for q, when := range l.requests {
		a, h := l.apps[q.file.project], l.hosts[q.file.machine]
		if l.madeUnhealthy(a, h) {
			continue
		}
		law := "law 2: a wait never consumes its cause"
		if when.category == domain.Changed {
			law = "law 5: a machine whose facts become known later is decided on again"
		}
		if l.behind(a, h) && !l.heldHere(a, h) && l.attempts(a, h) < a.settings.Attempts {
			l.plant.breaks(law, "trigger %s of %s was due for %s, which has %q, not %q, though everything rests",
				q.trigger, a.name, h.Name, l.actual(a, h), l.wanted(a, h))
		}
	}
}
