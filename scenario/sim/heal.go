package sim

import (
	"slices"
	"time"

	"github.com/droverhq/drover/domain"
	"github.com/droverhq/drover/projections"
	"github.com/droverhq/drover/triggers"
)

// Bounds of healing: what takes longer never comes.
const (
	healStep   = 15 * time.Second
	maxHealing = 400 // steps until everything rests
	maxLeaving = 600 // steps until what was open when the machines were left alone has ended
)

// mend lets all servers work again.
func (p *plant) mend() {
	for _, s := range p.servers {
		s.wire.mend()
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
		if s.down { // it died of what it had been about to do
			p.open(s)
		}
	}
	p.check()
	p.repair()
}

// turn is one step of time on all servers, of which one ticks.
func (p *plant) turn(n int) {
	p.elapse(healStep, true)
	p.tick(step{a: n})
	p.check()
}

// abandon leaves the machines alone as they are, the dead dead, the hung hung and nobody claiming, and looks
// whether all that is open now ends all the same (law 21).
func (p *plant) abandon() {
	for _, name := range projects {
		p.enable(name)
	}
	open := slices.Clone(p.audit.OpenDeployments())
	unended := func() bool {
		return slices.ContainsFunc(open, func(d *projections.Deployment) bool { return !d.Ended })
	}
	for n := 0; unended() && p.broken == nil; n++ {
		if p.turn(n); n == maxLeaving {
			p.breaks("law 21: a part whose machine dies, hangs or never claims ends", "of %d deployments some are open after %s",
				len(open), maxLeaving*healStep)
		}
	}
}

// enable enables a project and its triggers.
func (p *plant) enable(name string) {
	project, s := p.audit.Projects[name], p.serving(0)
	if project == nil {
		return
	}
	if project.Disabled {
		p.do(s, domain.SetProjectEnabled{Name: name, Enabled: true, Origin: domain.By(by)}, "project enable", name)
	}
	for _, t := range triggerNames {
		if rule := project.Triggers[t]; rule != nil && rule.Disabled {
			p.do(s, domain.SetTriggerEnabled{Project: name, Name: t, Enabled: true, Origin: domain.By(by)}, "trigger enable", name+"/"+t)
		}
	}
	p.check()
}

// gather brings every machine online, enabled and healthy.
func (p *plant) gather() {
	for i, name := range p.names {
		m := p.audit.Machines[name]
		if m == nil {
			continue
		}
		a, s := p.agent(name), p.serving(i)
		if m.Disabled {
			p.do(s, domain.SetMachineEnabled{Name: name, Enabled: true, Origin: domain.By(by)}, "machine enable", name)
		}
		if !a.talks() || !m.Online || m.Session != a.session {
			a.connectTo(s)
		}
		p.check()
		health := domain.Healthy
		if p.setting.sick[name] {
			health = domain.Unhealthy
		}
		if m = p.audit.Machines[name]; a.talks() && m.Health != health {
			a.say(string(health))
			a.tell(domain.ReportHealth{Name: name, Session: a.session, Status: health})
		}
		p.check()
	}
}

// heal brings everything into order and lets time pass until everything rests. What never rests is a breach too.
func (p *plant) heal() {
	p.rest = true
	p.mend()
	for _, name := range projects {
		p.enable(name)
	}
	still := 0
	for n := 0; still < 2*len(p.servers) && p.broken == nil; n++ {
		p.gather()
		before := p.head()
		p.workAll(step{})
		p.check()
		p.turn(n)
		if still++; p.head() != before || p.waits() {
			still = 0
		}
		if n == maxHealing {
			p.breaks("everything comes to rest", "after %s something is still going on", maxHealing*healStep)
		}
	}
	p.rested()
	p.compare()
}

// waits says that some verdict only waits for time to pass, or some part or session for its agent.
func (p *plant) waits() bool {
	if len(p.audit.OpenDeployments()) > 0 {
		return true
	}
	for name, m := range p.audit.Machines {
		if a := p.agent(name); !m.Online || m.Session != a.session || !a.talks() {
			return true // its name is free only when its last session has been silent long enough
		}
	}
	for _, verdict := range p.verdicts() {
		if verdict.Reason == triggers.BackingOff || verdict.Kind == triggers.Deploy {
			return true
		}
	}
	return false
}

func (p *plant) verdicts() (all []triggers.Verdict) {
	p.servers[0].engine.ReadWithAge(func(v *projections.View, age projections.Age) { all = triggers.Decide(v, age) })
	return all
}

// resting are the reasons for which a machine may rest without what is wanted.
var resting = []triggers.Reason{triggers.NothingReleased, triggers.Held, triggers.RetriesExhausted, triggers.NoCause, triggers.UpToDate}

// rested looks at the end of a day: every machine that a trigger for all that is available serves has what
// is wanted, or is held, or was given up after as many attempts as its project allows (laws 2, 3, 17).
func (p *plant) rested() {
	if n := len(p.audit.OpenDeployments()); n > 0 {
		p.breaks("law 21: every deployment ends", "%d are open though everything rests", n)
	}
	for _, verdict := range p.verdicts() {
		a, h := p.ledger.apps[verdict.Project], p.ledger.hosts[verdict.Machine]
		if verdict.Reason == triggers.MadeUnhealthy && p.ledger.madeUnhealthy(a, h) {
			continue
		}
		if !slices.Contains(resting, verdict.Reason) {
			p.breaks("law 2: nothing is forgotten", "%s of %s still waits for %s though everything rests", verdict.Machine, verdict.Project, verdict.Reason)
		}
	}
	p.ledger.forgotten()
	for _, a := range p.ledger.apps {
		for _, h := range p.ledger.hosts {
			if p.served(a, h) {
				p.checkServed(a, h)
			}
		}
	}
}

// served says that the machine is one which automation must not leave behind.
func (p *plant) served(a *app, h *host) bool {
	if !p.ledger.places[h.Environment] || !inScope(h, h.Environment, a.settings.Roles) || p.ledger.wanted(a, h) == "" || p.ledger.heldHere(a, h) ||
		p.ledger.madeUnhealthy(a, h) {
		return false
	}
	for _, r := range a.triggers {
		if slices.Contains(r.settings.Events, domain.AvailableGroup) && r.asks(a, h) {
			return true
		}
	}
	return false
}

func (p *plant) checkServed(a *app, h *host) {
	if !p.ledger.behind(a, h) {
		if c := p.agent(h.Name).disk[projectLife{a.name, a.life}]; c.release != p.ledger.wanted(a, h) || c.broken {
			p.breaks("law 11: actual is what the machine really has", "%s of %s has %q on its disk (broken: %v), not %q",
				h.Name, a.name, c.release, c.broken, p.ledger.wanted(a, h))
		}
		return
	}
	law := "law 3: every machine that is available gets what is wanted"
	if h.Health == domain.Unhealthy {
		law = "law 24: an unhealthy machine can still receive its cure"
	}
	if p.ledger.attempts(a, h) < a.settings.Attempts {
		p.breaks(law, "%s of %s has %q, not %q, after %d attempts, though everything rests",
			h.Name, a.name, p.ledger.actual(a, h), p.ledger.wanted(a, h), p.ledger.attempts(a, h))
	}
}
