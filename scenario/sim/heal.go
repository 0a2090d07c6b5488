package sim

import (
	"fmt"
	"slices"
	"time"

	"github.com/droverhq/drover/domain"
	"github.com/droverhq/drover/projections"
	"github.com/droverhq/drover/triggers"
)

// Limits of healing. A state that is not reached within them counts as never reached.
const (
	healStep   = 15 * time.Second
	maxHealing = 400 // steps until the cluster is idle
	maxLeaving = 600 // steps until all deployments that were open at the start of abandon have ended
)

// repairServers makes all servers work again.
func (p *cluster) repairServers() {
	for _, s := range p.servers {
		s.log.repair()
		if s.rules != p.rules {
			p.renewRules(s)
		}
		if s.down {
			p.open(s)
		}
		if s.standing != nil {
			p.setClock(s, 0, false)
		}
		p.wake(s)
		if s.down { // it crashed in the rest of its paused tick
			p.open(s)
		}
	}
	p.check()
	p.clearStreams()
}

// advance lets one interval pass, with a tick on one server.
func (p *cluster) advance(n int) {
	p.elapse(healStep, true)
	p.tick(step{a: n})
	p.check()
}

// abandon leaves all machines in their current state, crashed or hung, without claims, and checks that all open
// deployments still end (law 21).
func (p *cluster) abandon() {
	for _, name := range projects {
		p.enable(name)
	}
	open := slices.Clone(p.audit.OpenDeployments())
	unended := func() bool {
		return slices.ContainsFunc(open, func(d *projections.Deployment) bool { return !d.Ended })
	}
	for n := 0; unended() && p.violation == nil; n++ {
		if p.advance(n); n == maxLeaving {
			p.violate("law 21: a part ends even if its machine dies, hangs or never claims it",
				"of %d deployments some are open after %s", len(open), maxLeaving*healStep)
		}
	}
}

// enable enables a project and its triggers.
func (p *cluster) enable(name string) {
	project, s := p.audit.Projects[name], p.serving(0)
	if project == nil {
		return
	}
	if project.Disabled {
		p.do(s, domain.SetProjectEnabled{Name: name, Enabled: true, Origin: domain.By(by)}, "project enable", name)
	}
	for _, t := range triggerNames {
		if rule := project.Triggers[t]; rule != nil && rule.Disabled {
			p.do(s, domain.SetTriggerEnabled{Project: name, Name: t, Enabled: true, Origin: domain.By(by)},
				"trigger enable", name+"/"+t)
		}
	}
	p.check()
}

// bringOnline brings every machine online, enabled and healthy.
func (p *cluster) bringOnline() {
	for i, name := range p.names {
		m := p.audit.Machines[name]
		if m == nil {
			continue
		}
		a, s := p.agent(name), p.serving(i)
		if m.Disabled {
			p.do(s, domain.SetMachineEnabled{Name: name, Enabled: true, Origin: domain.By(by)}, "machine enable", name)
		}
		if !a.reachable() || !m.Online || m.Session != a.session {
			if h := p.ledger.machines[name]; h != nil && !h.Instance.IsZero() && h.Instance != a.instance && !a.permitted &&
				!h.reimageUntil.After(s.Now()) {
				p.permit(s, name, time.Hour)
			}
			a.connectTo(s)
		}
		p.check()
		health := domain.Healthy
		if p.config.unhealthy[name] {
			health = domain.Unhealthy
		}
		if h := p.ledger.machines[name]; a.reachable() && h != nil && h.reports {
			a.reportConditions(nil)
		}
		p.check()
		if m = p.audit.Machines[name]; a.reachable() && m.Health != health {
			a.log(string(health))
			a.send(domain.ReportHealth{Name: name, Session: a.session, Status: health})
		}
		p.check()
	}
}

// heal repairs everything and lets time pass until the cluster is idle. Never becoming idle is a violation too.
func (p *cluster) heal() {
	p.healing = true
	p.repairServers()
	for _, name := range projects {
		p.enable(name)
	}
	still := 0
	for n := 0; still < 2*len(p.servers) && p.violation == nil; n++ {
		p.bringOnline()
		before := p.head()
		p.workAll(step{})
		p.check()
		p.advance(n)
		if still++; p.head() != before || p.pending() {
			still = 0
		}
		if n == maxHealing {
			p.violate("the cluster becomes idle", "it is not idle after %s: %s", maxHealing*healStep, p.unrest())
		}
	}
	p.checkAtRest()
	p.compare()
}

// unrest describes why the cluster is not idle.
func (p *cluster) unrest() string {
	if n := len(p.audit.OpenDeployments()); n > 0 {
		return fmt.Sprintf("%d deployments are open", n)
	}
	for name, m := range p.audit.Machines {
		if a := p.agent(name); !m.Online || m.Session != a.session || !a.reachable() {
			return fmt.Sprintf("%s online %t, its agent has the session %t and is reachable %t", name, m.Online,
				m.Session == a.session, a.reachable())
		}
	}
	for _, verdict := range p.verdicts() {
		if verdict.Reason == triggers.BackingOff || verdict.Kind == triggers.Deploy {
			return fmt.Sprintf("%s on %s: %s %s", verdict.Project, verdict.Machine, verdict.Kind, verdict.Reason)
		}
	}
	return "the log still grows"
}

// pending reports whether a verdict waits only for time to pass, or a part or session for its agent.
func (p *cluster) pending() bool {
	if len(p.audit.OpenDeployments()) > 0 {
		return true
	}
	for name, m := range p.audit.Machines {
		if a := p.agent(name); !m.Online || m.Session != a.session || !a.reachable() {
			return true // its name becomes free only when its last session has been silent long enough
		}
	}
	for _, verdict := range p.verdicts() {
		if verdict.Reason == triggers.BackingOff || verdict.Kind == triggers.Deploy {
			return true
		}
	}
	return false
}

func (p *cluster) verdicts() (all []triggers.Verdict) {
	p.servers[0].engine.ReadWithAge(func(v *projections.View, age projections.Age) { all = triggers.Decide(v, age) })
	return all
}

// restingReasons lists the reasons for which an idle machine may lack the wanted release.
var restingReasons = []triggers.Reason{triggers.NothingReleased, triggers.Held, triggers.RetriesExhausted,
	triggers.NoCause, triggers.UpToDate}

// checkAtRest checks the idle cluster: every machine that a trigger for MachineAvailable serves has the wanted release,
// or is held, or has no attempts left (laws 2, 3, 17).
func (p *cluster) checkAtRest() {
	if n := len(p.audit.OpenDeployments()); n > 0 {
		p.violate("law 21: every deployment ends", "%d are open although the cluster is idle", n)
	}
	for _, verdict := range p.verdicts() {
		a, h := p.ledger.projects[verdict.Project], p.ledger.machines[verdict.Machine]
		if verdict.Reason == triggers.MadeUnhealthy && p.ledger.madeUnhealthy(a, h) {
			continue
		}
		if verdict.Reason == triggers.ReleaseRetired && p.ledger.wantsRetired(a, h) {
			continue
		}
		if !slices.Contains(restingReasons, verdict.Reason) {
			p.violate("law 2: nothing is forgotten", "%s of %s still waits for %s although the cluster is idle", verdict.Machine,
				verdict.Project, verdict.Reason)
		}
	}
	p.ledger.checkForgotten()
	for _, a := range p.ledger.projects {
		for _, h := range p.ledger.machines {
			if p.mustBeUpToDate(a, h) {
				p.checkUpToDate(a, h)
			}
		}
	}
}

// mustBeUpToDate reports whether automation must not leave the machine behind.
func (p *cluster) mustBeUpToDate(a *projectState, h *machineState) bool {
	if !p.ledger.environments[h.Environment] || !inScope(h, h.Environment, a.settings.Roles) ||
		p.ledger.wanted(a, h) == "" || p.ledger.heldHere(a, h) ||
		p.ledger.madeUnhealthy(a, h) || p.ledger.wantsRetired(a, h) {
		return false
	}
	for _, r := range a.triggers {
		if slices.Contains(r.settings.Events, domain.AvailableGroup) && r.asks(a, h) {
			return true
		}
	}
	return false
}

func (p *cluster) checkUpToDate(a *projectState, h *machineState) {
	if !p.ledger.behind(a, h) {
		if c := p.agent(h.Name).disk[projectIncarnation{a.name, a.created}]; c.release != p.ledger.wanted(a, h) || c.broken {
			p.violate("law 11: actual is what the machine really has", "%s of %s has %q on its disk (broken: %v), not %q",
				h.Name, a.name, c.release, c.broken, p.ledger.wanted(a, h))
		}
		return
	}
	law := "law 3: every available machine gets the wanted release"
	if h.Health == domain.Unhealthy {
		law = "law 24: an unhealthy machine can still receive a release that repairs it"
	}
	if p.ledger.attempts(a, h) < a.settings.Attempts {
		p.violate(law, "%s of %s has %q, not %q, after %d attempts, although the cluster is idle",
			h.Name, a.name, p.ledger.actual(a, h), p.ledger.wanted(a, h), p.ledger.attempts(a, h))
	}
}
