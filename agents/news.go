package agents

import (
	"reflect"
	"time"

	"github.com/coder/websocket"
	"github.com/google/uuid"

	"github.com/droverhq/drover/api/client"
	"github.com/droverhq/drover/domain"
	"github.com/droverhq/drover/eventlog"
	"github.com/droverhq/drover/projections"
	"github.com/droverhq/drover/rollout"
)

// news is what the view says of an agent's machine.
type news struct {
	log      uuid.UUID // the id that the log goes by
	doubted  bool
	machine  *domain.Machine // nil if it does not exist
	settings client.Settings
	revision eventlog.Revision
	newest   domain.ID
	work     *client.Work
}

// newsOf reads from the view what the agent of a machine should know.
func (h *Hub) newsOf(name string) (n news) {
	n.log, n.doubted = h.cfg.Engine.LogID(), h.cfg.Engine.LostEvents() != nil
	h.cfg.Engine.Read(func(v *projections.View) {
		m := v.Machines[name]
		if m == nil {
			return
		}
		machine, stream := m.Machine, domain.MachineStream(name)
		n.machine, n.settings, n.revision, n.newest = &machine, settingsOf(v.PolicyOf(m)), v.Revision(stream), v.Newest(stream)
		if part := rollout.Work(v, name); part != nil && !n.doubted {
			n.work = workOf(v, part)
		}
	})
	return n
}

// longestHeartbeat bounds the interval whatever the policy says.
const longestHeartbeat = domain.Duration(10 * time.Second)

func settingsOf(p domain.PolicySettings) client.Settings {
	return client.Settings{OfflineAfter: p.OfflineAfter, HeartbeatEvery: min(p.OfflineAfter/3, longestHeartbeat),
		HealthCheck: p.HealthCheck}
}

// workOf is a released part with all that is needed to run it; nil if its release no longer exists.
func workOf(v *projections.View, part *projections.Part) *client.Work {
	d := part.Deployment
	if d.Content == nil {
		return nil
	}
	work := &client.Work{Deployment: d.ID.String(), Project: d.Project.Name, Environment: d.Environment,
		Machine: part.Machine, Release: d.Release, PreviousRelease: v.Actual(d.Project, v.Machines[part.Machine]),
		Cause: causeOf(part), Variables: d.Content.Variables, Secrets: d.Content.Secrets, Steps: d.Content.Steps}
	if work.Steps == nil {
		work.Steps = []domain.Step{}
	}
	return work
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

// look asks for a push; many at once are one.
func (s *session) look() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.again = true
	if !s.pushing {
		s.pushing = true
		go s.push()
	}
}

// push tells the agent what is new until nothing is. At most one goroutine per session pushes, and none without news.
func (s *session) push() {
	for {
		s.mu.Lock()
		if !s.again {
			s.pushing = false
			s.mu.Unlock()
			return
		}
		s.again = false
		s.mu.Unlock()
		s.tell(s.hub.newsOf(s.machine))
	}
}

// tell sends what differs from what was told before.
func (s *session) tell(n news) {
	self := s.hub.cfg.Engine.Server()
	switch m := n.machine; {
	case m == nil:
		s.refuse(client.Refused{Reason: "machine " + s.machine + " was deleted"})
		return
	case s.revoked():
		s.refuse(client.Refused{Reason: errRevoked.Error(), Final: true})
		return
	case !m.Online:
		s.comeBack(n)
		return
	case m.Session != s.id || m.Instance != s.instance:
		s.refuse(client.Refused{Reason: "another session of machine " + s.machine + " took the place of this one"})
		return
	case m.Server != self:
		s.end(websocket.StatusGoingAway, "the session moved to another server")
		return
	case n.log != s.log:
		s.end(websocket.StatusGoingAway, "the log was restored")
		return
	}
	s.connectedAs(n.machine.Connect)
	if !reflect.DeepEqual(n.settings, s.settings) {
		if !reflect.DeepEqual(n.settings.HealthCheck, s.settings.HealthCheck) {
			s.find(nil) // another check finds for itself
		}
		s.settings = n.settings
		s.send(client.ToAgent{Settings: &n.settings})
	}
	if n.revision > s.told && !n.doubted { // what an agent is told takes the place of what it remembers
		s.told = n.revision
		s.send(client.ToAgent{Told: &client.Told{Log: n.log.String(), Revision: int64(n.revision), Event: n.newest.String()}})
	}
	s.offer(n.work)
}

// offer sends work that was not offered yet, or is to be offered again.
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

// offerAgain forgets what was offered, so that it is offered once more if it is still to be done.
func (s *session) offerAgain() {
	s.mu.Lock()
	waiting := s.offered != ""
	s.offered = ""
	s.mu.Unlock()
	if waiting {
		s.look()
	}
}
