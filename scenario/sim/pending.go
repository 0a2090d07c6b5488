package sim

import (
	"slices"

	"github.com/droverhq/drover/domain"
	"github.com/droverhq/drover/eventlog"
)

// request identifies a machine that an event made due for a trigger and that is not settled yet. The ledger tracks
// requests itself, because the sweep would hide a request that drover has forgotten.
type request struct {
	key     machineProject
	trigger string
}

// asked is the newest event of a request and its category.
type asked struct {
	at       eventlog.Position
	category domain.Category
}

// ask opens a request for every trigger that matches an event of a machine. A machine that resumed is due only for what
// is wanted since it went offline.
func (l *ledger) ask(h *machineState, fact domain.Event, resumed bool) {
	category, named := domain.CategoryOf(fact)
	if !named || !category.Opens() {
		return
	}
	for _, a := range l.projects {
		if resumed && l.wants[projectEnvironment{a, h.Environment}].since <= h.away && !a.isRollingOut(h.Environment) {
			continue
		}
		l.askFor(a, h, category)
	}
}

// askFor opens a request for every trigger of a project that matches the category.
func (l *ledger) askFor(a *projectState, h *machineState, category domain.Category) {
	for name, r := range a.triggers {
		members, _ := domain.Expand(r.settings.Events)
		if !a.disabled && !r.disabled && slices.Contains(members, category) &&
			l.environments[h.Environment] && r.asks(a, h) {
			l.requests[request{machineProject{h.Name, h.created, a.name, a.created}, name}] = asked{l.at, category}
		}
	}
}

// asks reports whether the trigger serves the machine.
func (r *triggerState) asks(a *projectState, h *machineState) bool {
	where := slices.Contains(r.settings.Environments, "*") || slices.Contains(r.settings.Environments, h.Environment)
	return where && inScope(h, h.Environment, a.settings.Roles) && inScope(h, h.Environment, r.settings.Roles)
}

// serve closes the requests of an automatic deployment that has succeeded.
func (l *ledger) serve(s *partState) {
	for q, when := range l.requests {
		if q.key.machine == s.machine.Name && q.key.project == s.deployment.project.name && when.at < s.deployment.queued &&
			slices.ContainsFunc(s.deployment.Machines, func(m domain.DeploymentMachine) bool {
				return m.Name == s.machine.Name && slices.Contains(m.Triggers, q.trigger)
			}) {
			delete(l.requests, q)
		}
	}
}

// settle closes the requests that are no longer needed: no trigger asks, or the machine has the wanted release and no
// person's deployment is in progress there.
func (l *ledger) settle() {
	for q := range l.requests {
		a, h := l.projects[q.key.project], l.machines[q.key.machine]
		if a == nil || h == nil || a.created != q.key.projectCreated || h.created != q.key.machineCreated {
			delete(l.requests, q)
			continue
		}
		r := a.triggers[q.trigger]
		if r == nil || !l.environments[h.Environment] || !r.asks(a, h) || l.wanted(a, h) != "" &&
			!l.behind(a, h) && !l.personAtWork(a, h) && !l.verifiesOn(a, h) {
			delete(l.requests, q)
		}
	}
}

func (l *ledger) personAtWork(a *projectState, h *machineState) bool {
	wide := slices.ContainsFunc(a.deployments, func(w *deploymentState) bool {
		return w.Kind == domain.EnvironmentWide && w.Environment == h.Environment && w.ended == "" && !w.environmentGone
	})
	if wide {
		return true
	}
	return slices.ContainsFunc(a.openShares(h.Name), (*deploymentState).person)
}

// checkForgotten checks that the idle cluster has no open request for a machine that is behind.
func (l *ledger) checkForgotten() {
	for q, when := range l.requests {
		a, h := l.projects[q.key.project], l.machines[q.key.machine]
		if l.madeUnhealthy(a, h) || l.wantsRetired(a, h) {
			continue
		}
		law := "law 2: a wait never uses up its cause"
		if when.category == domain.Changed {
			law = "law 5: a machine whose roles or environment change is decided about again"
		}
		if l.behind(a, h) && !l.heldHere(a, h) && l.attempts(a, h) < a.settings.Attempts {
			l.cluster.violate(law, "trigger %s of %s was due for %s, which has %q, not %q, although the cluster is idle",
				q.trigger, a.name, h.Name, l.actual(a, h), l.wanted(a, h))
		}
	}
}
