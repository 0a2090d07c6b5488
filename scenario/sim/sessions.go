package sim

import (
	"slices"

	"github.com/droverhq/drover/domain"
	"github.com/droverhq/drover/projections"
	"github.com/droverhq/drover/rollout"
)

// needsServer reports whether the agent is looking for a server.
func (a *agent) needsServer() bool {
	return a.server == nil && !a.dead && !a.left && !a.silent &&
		(a.cluster.audit.Machines[a.machine] != nil || a.returns(a.cluster.audit))
}

// returns reports whether a clean-up or the agent has deleted the machine of this instance, so that it can return.
func (a *agent) returns(v *projections.View) bool {
	kept := v.CleanedUp(a.machine)
	return kept != nil && kept.Instance == a.instance
}

// isInstance reports whether the agent of a machine is this instance now.
func (p *cluster) isInstance(machine string, instance domain.ID) bool {
	a := p.agents[machine]
	return a != nil && a.instance == instance
}

// isPermitted reports whether the agent is this instance, and has a join token that is bound to the machine.
func (p *cluster) isPermitted(machine string, instance domain.ID) bool {
	return p.isInstance(machine, instance) && p.agents[machine].permitted
}

// reconnect connects an agent that has lost its server to another one, with its current session.
func (a *agent) reconnect(s *server) {
	if !a.needsServer() {
		return
	}
	if a.session.IsZero() {
		a.connectTo(s)
		return
	}
	a.server = s
	a.log("reconnects")
	a.hello()
}

// restoreSession brings a machine online again if its session was ended in the log although its server receives it.
func (a *agent) restoreSession() {
	if !a.reachable() {
		return
	}
	if m := a.server.view().Machines[a.machine]; m != nil && !m.Online && m.Session == a.session {
		a.log("heartbeat")
		a.hello()
	}
}

// reconnectAgents reconnects the agents that a server lost when it ended.
func (p *cluster) reconnectAgents(s *server) {
	for _, name := range p.names {
		if a := p.agents[name]; a != nil && a.needsServer() && a.lost == s && s.running() {
			a.server, p.lateReaction = s, false
			a.hello()
		}
	}
}

// connectTo starts a session.
func (a *agent) connectTo(s *server) {
	a.startOn(s)
	a.log("online")
	a.hello()
}

// startOn starts the agent with a new session that it has not told the server yet. An agent that had crashed reports the
// part that its journal contains.
func (a *agent) startOn(s *server) {
	if a.dead && a.running != nil {
		a.running.result = domain.PartFailed
		a.unreported, a.running = append(a.unreported, a.running), nil
	}
	a.server, a.dead, a.silent, a.left = s, false, false, false
	a.session = a.cluster.id("session", a.machine)
}

// hello introduces the agent to its server. The agent has no server if that rejects it or crashes.
func (a *agent) hello() {
	s := a.server
	if a.returns(a.cluster.audit) { // servers read the newest events before they admit an agent
		a.send(domain.ReturnMachine{Name: a.machine, Instance: a.instance})
	}
	if s.down {
		a.server = nil
		return
	}
	accepted, _ := a.send(domain.ConnectMachine{Name: a.machine, Server: s.engine.Server(),
		Session: a.session, Instance: a.instance, Admin: a.permitted, Now: s.Now()})
	m := s.view().Machines[a.machine]
	if !accepted || s.down || m == nil || m.Session != a.session {
		a.server = nil
		return
	}
	if a.since = a.cluster.now; a.connect != m.Connect {
		a.connect, a.begun = m.Connect, a.cluster.now
	}
	a.unstated = true
	a.heartbeat()
	for _, part := range slices.Clone(rollout.Unfinished(s.view(), a.machine)) {
		if part.Instance == a.instance && a.reachable() {
			a.answer(part)
		}
	}
}
