package agents

import (
	"reflect"
	"slices"
	"time"

	"github.com/coder/websocket"
	"github.com/google/uuid"

	"github.com/droverhq/drover/api/client"
	"github.com/droverhq/drover/domain"
	"github.com/droverhq/drover/eventlog"
	"github.com/droverhq/drover/explain"
	"github.com/droverhq/drover/projections"
	"github.com/droverhq/drover/rollout"
)

// machineState is the state of an agent's machine in the view.
type machineState struct {
	log        uuid.UUID // the log's id
	lostEvents bool
	doubted    bool            // the agent remembers something that the log does not have
	accepted   bool            // a person has accepted that
	machine    *domain.Machine // nil if it does not exist
	settings   client.Settings
	revision   eventlog.Revision
	newest     domain.ID
	work       *client.Work
	kills      []client.Kill // of parts whose end the agent has not reported
}

// stateOf reads the state of a machine from the view.
func (h *Hub) stateOf(name string) (n machineState) {
	n.log, n.lostEvents = h.cfg.Engine.LogID(), h.cfg.Engine.LostEvents() != nil
	h.cfg.Engine.Read(func(v *projections.View) {
		m := v.Machines[name]
		if m == nil {
			return
		}
		machine, stream := m.Machine, domain.MachineStream(name)
		n.machine, n.settings = &machine, settingsOf(v.PolicyOf(m))
		n.doubted, n.accepted = v.DoubtOf(m) != nil, m.MemoryAccepted
		n.revision, n.newest = v.Revision(stream), v.Newest(stream)
		if part := rollout.Work(v, name); part != nil && !n.lostEvents && !n.doubted {
			n.work = workOf(v, part)
		}
		for _, part := range rollout.Killed(v, name) {
			n.kills = append(n.kills, killOf(part))
		}
	})
	return n
}

// maxHeartbeat bounds the interval, independently of the policy.
const maxHeartbeat = domain.Duration(10 * time.Second)

func settingsOf(p domain.PolicySettings) client.Settings {
	return client.Settings{OfflineAfter: p.OfflineAfter, HeartbeatEvery: min(p.OfflineAfter/3, maxHeartbeat),
		HealthCheck: p.HealthCheck}
}

// workOf returns the work for a released part, or nil if its release no longer exists.
func workOf(v *projections.View, part *projections.Part) *client.Work {
	d := part.Deployment
	if d.Content == nil {
		return nil
	}
	values := d.Content.For(d.Environment, v.Machines[part.Machine].Roles)
	work := &client.Work{Deployment: d.ID.String(), Project: d.Project.Name, Environment: d.Environment,
		Machine: part.Machine, Release: d.Release, PreviousRelease: v.Actual(d.Project, v.Machines[part.Machine]),
		Cause: causeOf(part), Variables: values.Variables, Secrets: values.Secrets, Steps: d.Content.Steps}
	if work.Steps == nil {
		work.Steps = []domain.Step{}
	}
	return work
}

// killOf returns the message that asks to stop a part. It names people by id: names are not part of any log.
func killOf(part *projections.Part) client.Kill {
	return client.Kill{Deployment: part.Deployment.ID.String(), By: explain.Names(nil).Who(part.Kill.Origin),
		Reason: part.Kill.Reason}
}

func causeOf(part *projections.Part) string {
	switch {
	case part.Deployment.Kind != domain.Automatic:
		return "person"
	case part.Verdict == "sweep":
		return "sweep"
	}
	return "trigger"
}

// notify requests a push. Several requests can result in one push.
func (s *session) notify() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.pending = true
	if !s.pushing {
		s.pushing = true
		s.hub.workers.do(s.push)
	}
}

// push sends changes to the agent until none are left. At most one goroutine per session pushes, and it ends when
// nothing is left to send.
func (s *session) push() {
	for {
		s.mu.Lock()
		if !s.pending {
			s.pushing = false
			s.mu.Unlock()
			return
		}
		s.pending = false
		s.mu.Unlock()
		s.sendState(s.hub.stateOf(s.machine))
	}
}

// sendState sends the parts of the state that have changed since the last push.
func (s *session) sendState(n machineState) {
	self := s.hub.cfg.Engine.Server()
	switch m := n.machine; {
	case m == nil:
		s.refuse(client.Refused{Reason: "machine " + s.machine + " was deleted"})
		return
	case s.revoked():
		s.refuse(client.Refused{Reason: errRevoked.Error(), Final: true})
		return
	case !m.Online:
		s.reconnect(n)
		return
	case m.Session != s.id || m.Instance != s.instance:
		s.refuse(client.Refused{Reason: "another session of machine " + s.machine + " has replaced this one"})
		return
	case m.Server != self:
		s.end(websocket.StatusGoingAway, "the session moved to another server")
		return
	case n.log != s.log:
		s.end(websocket.StatusGoingAway, "the log was restored")
		return
	case s.doubted && (n.accepted || !n.doubted): // the agent reports its memory again
		s.end(websocket.StatusGoingAway, "a person accepted what the log does not have")
		return
	}
	s.setConnect(n.machine.Connect)
	if !reflect.DeepEqual(n.settings, s.settings) {
		if !reflect.DeepEqual(n.settings.HealthCheck, s.settings.HealthCheck) {
			s.setLastHealth(nil) // a different check has its own results
		}
		s.settings = n.settings
		s.send(client.ToAgent{Settings: &n.settings})
	}
	if n.revision > s.sentRevision && !n.lostEvents && !n.doubted { // the agent replaces its own memory with this
		s.sentRevision = n.revision
		s.send(client.ToAgent{Newest: &client.NewestEvent{Log: n.log.String(), Revision: int64(n.revision), Event: n.newest.String()}})
	}
	s.kill(n.kills)
	s.offer(n.work)
}

// kill asks the agent to stop parts, once on this connection.
func (s *session) kill(kills []client.Kill) {
	for _, k := range kills {
		if !slices.Contains(s.killed, k.Deployment) {
			s.killed = append(s.killed, k.Deployment)
			s.send(client.ToAgent{Kill: &k})
		}
	}
}

// offer sends work that was not offered yet, or must be offered again.
func (s *session) offer(work *client.Work) {
	s.mu.Lock()
	before := s.offered
	s.offered = ""
	if work != nil {
		s.offered = work.Deployment
	}
	s.mu.Unlock()
	if work != nil && work.Deployment != before {
		s.send(client.ToAgent{Offer: work})
	}
}

// repeatOffer makes the session offer the current work again, if there still is any.
func (s *session) repeatOffer() {
	s.mu.Lock()
	waiting := s.offered != ""
	s.offered = ""
	s.mu.Unlock()
	if waiting {
		s.notify()
	}
}
