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

// returns reports whether a clean-up has deleted the machine of this instance, so that its agent can return.
func (a *agent) returns(v *projections.View) bool {
	kept := v.CleanedUp(a.machine)
	return kept != nil && kept.Instance == a.instance
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

// connectTo starts a session. An agent that had crashed reports the part that its journal contains.
func (a *agent) connectTo(s *server) {
	p := a.cluster
	if a.dead && a.running != nil {
		a.running.result = domain.PartFailed
		a.unreported, a.running = append(a.unreported, a.running), nil
	}
	a.server, a.dead, a.silent, a.left = s, false, false, false
	a.session = p.id("session", a.machine)
	a.log("online")
	a.hello()
}

// hello introduces the agent to its server. The agent has no server if that rejects it or crashes.
func (a *agent) hello() {
	s := a.server
	if a.returns(s.view()) {
		a.send(domain.ReturnMachine{Name: a.machine, Instance: a.instance})
	}
	if s.down {
		a.server = nil
		return
	}
	accepted, _ := a.send(domain.ConnectMachine{Name: a.machine, Server: s.engine.Server(),
		Session: a.session, Instance: a.instance})
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
