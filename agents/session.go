package agents

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/coder/websocket"
	"github.com/google/uuid"
	"go.uber.org/zap"

	"github.com/droverhq/drover/access"
	"github.com/droverhq/drover/api/client"
	"github.com/droverhq/drover/api/problem"
	"github.com/droverhq/drover/domain"
	"github.com/droverhq/drover/engine"
	"github.com/droverhq/drover/eventlog"
	"github.com/droverhq/drover/projections"
	"github.com/droverhq/drover/rollout"
)

// session is one connection of an agent.
type session struct {
	hub          *Hub
	conn         *websocket.Conn
	machine      string
	instance, id domain.ID
	secret       string // hash
	version      string // of its drover, as it says

	// settings, told and log are used by the pushing goroutine alone.
	settings client.Settings
	told     eventlog.Revision
	log      uuid.UUID // the id that the log went by at the welcome

	mu             sync.Mutex // guards what follows
	connect        domain.ID
	heard          time.Duration // on the clock that only rises
	offered        string
	pushing, again bool
	left           bool // the agent said goodbye, or its connection has ended
	// found is the last result of the policy's health check, which the agent reports once; nil: none yet.
	found *client.Health
}

// sendWithin bounds one message to an agent; one that does not take it is dropped.
const sendWithin = 10 * time.Second

// send sends a message. If that fails the connection is closed.
func (s *session) send(m client.ToAgent) {
	ctx, cancel := context.WithTimeout(context.Background(), sendWithin)
	defer cancel()
	if err := sendTo(ctx, s.conn, m); err != nil {
		_ = s.conn.CloseNow()
	}
}

func sendTo(ctx context.Context, conn *websocket.Conn, m client.ToAgent) error {
	text, err := json.Marshal(m)
	if err != nil {
		return err
	}
	return conn.Write(ctx, websocket.MessageText, text)
}

// refuse ends the connection with a reason.
func (s *session) refuse(r client.Refused) {
	s.send(client.ToAgent{Refused: &r})
	s.end(websocket.StatusPolicyViolation, "refused")
}

// end closes the connection; the agent has a moment to agree.
func (s *session) end(code websocket.StatusCode, reason string) { go s.conn.Close(code, reason) }

// hear notes that the agent was heard.
func (s *session) hear() {
	s.mu.Lock()
	s.heard = s.hub.cfg.Clock.Elapsed()
	connect := s.connect
	s.mu.Unlock()
	s.hub.cfg.Engine.Heartbeat(s.machine, connect)
}

// connectedAs notes the connect event that the session belongs to from now on.
func (s *session) connectedAs(connect domain.ID) {
	s.mu.Lock()
	changed := s.connect != connect
	s.connect = connect
	s.mu.Unlock()
	if changed {
		s.hub.cfg.Engine.Heartbeat(s.machine, connect)
	}
}

// revoked says that every token that the agent joined with as this machine was revoked.
func (s *session) revoked() bool {
	return !slices.ContainsFunc(s.hub.cfg.Access.Uses(s.instance), func(u access.Use) bool {
		return !u.Revoked && u.Machine == s.machine && u.Secret == s.secret
	})
}

// comeBack brings a machine online again that is offline in the log although its agent was heard lately. If the agent
// was silent for too long the connection is closed.
func (s *session) comeBack(n news) {
	s.mu.Lock()
	silent, left := s.hub.cfg.Clock.Elapsed()-s.heard, s.left
	s.mu.Unlock()
	if left { // that is why the log calls it offline
		return
	}
	if silent > time.Duration(n.settings.OfflineAfter) || s.hub.gate.IsClosed() {
		s.end(websocket.StatusGoingAway, "nothing was heard for too long")
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), answerWithin)
	defer cancel()
	_, err := s.hub.handle(ctx, domain.ID{}, domain.ConnectMachine{Name: s.machine,
		Server: s.hub.cfg.Engine.Server(), Session: s.id, Instance: s.instance})
	if err != nil {
		s.hub.log.Warn("agent dropped", zap.String("machine", s.machine), zap.Error(err))
		s.end(websocket.StatusTryAgainLater, "the machine cannot come online now")
	}
}

// listen takes one message after another until the connection ends.
func (s *session) listen(ctx context.Context) {
	for {
		_, text, err := s.conn.Read(ctx)
		if err != nil {
			return
		}
		s.hear()
		var m client.FromAgent
		if err := json.Unmarshal(text, &m); err != nil {
			s.refuse(client.Refused{Reason: "a message is not understood: " + err.Error()})
			return
		}
		if !s.take(ctx, m) {
			return
		}
	}
}

// take handles a message; false ends the session.
func (s *session) take(ctx context.Context, m client.FromAgent) bool {
	ctx, cancel := context.WithTimeout(ctx, answerWithin)
	defer cancel()
	count := func(kind string) { s.hub.messages[kind].Add(1) }
	switch {
	case m.Heartbeat != nil:
		count("heartbeat")
		s.offerAgain()
		s.healthAgain(ctx)
	case m.Health != nil:
		count("health")
		s.health(ctx, *m.Health)
	case m.Claim != nil:
		count("claim")
		s.claim(ctx, m.Claim.Deployment)
	case m.Output != nil:
		count("output")
		s.output(ctx, *m.Output)
	case m.End != nil:
		count("end")
		s.ended(ctx, *m.End)
	case m.Answer != nil:
		count("answer")
		s.hub.log.Info("part still runs", zap.String("machine", s.machine),
			zap.String("deployment", m.Answer.Deployment), zap.Bool("running", m.Answer.Running))
	case m.Goodbye != nil:
		count("goodbye")
		s.goodbye(ctx, *m.Goodbye)
		return false
	}
	return true
}

// health records a report, and keeps it for healthAgain.
func (s *session) health(ctx context.Context, h client.Health) {
	_, err := s.hub.handle(ctx, domain.ID{}, domain.ReportHealth{Name: s.machine, Session: s.id, Status: h.Status,
		Detail: bounded(h.Detail)})
	if err == nil || problem.Of(err).Kind != client.Invalid {
		s.find(&h)
	}
	s.complain("health report not taken", err)
}

func (s *session) find(h *client.Health) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.found = h
}

// healthAgain records the last report if the log does not have it and the policy has a check: the log could not take it
// then, or the machine had a policy without a check meanwhile. The agent reports a result once.
func (s *session) healthAgain(ctx context.Context) {
	s.mu.Lock()
	found := s.found
	s.mu.Unlock()
	if found == nil {
		return
	}
	differs := false
	s.hub.cfg.Engine.Read(func(v *projections.View) {
		m := v.Machines[s.machine]
		differs = m != nil && m.Health != found.Status && v.PolicyOf(m).HealthCheck != nil
	})
	if differs {
		s.health(ctx, *found)
	}
}

func (s *session) claim(ctx context.Context, deployment string) {
	id, err := domain.ParseID(deployment)
	if err != nil {
		s.send(client.ToAgent{Claimed: &client.Claimed{Deployment: deployment, Reason: err.Error()}})
		return
	}
	claimed, err := s.hub.claim(ctx, domain.ID{}, domain.ClaimPart{Deployment: id, Machine: s.machine,
		Session: s.id, Instance: s.instance})
	if err != nil {
		s.complain("claim not answered", err) // the agent asks again
		return
	}
	s.send(client.ToAgent{Claimed: &claimed})
	if !claimed.Counts {
		s.offerAgain()
	}
}

func (s *session) output(ctx context.Context, o client.Output) {
	id, err := domain.ParseID(o.Deployment)
	if err == nil {
		err = s.hub.takeOutput(ctx, id, s.machine, s.instance, o.Sequence, o.Data)
	}
	s.complain("output not kept", err)
}

// ended answers the end of a part. An end that the log can never take is answered too, so that the agent forgets it.
func (s *session) ended(ctx context.Context, e client.End) {
	id, err := domain.ParseID(e.Deployment)
	ended := client.Ended{Deployment: e.Deployment}
	if err == nil {
		ended, err = s.hub.end(ctx, endOf(e, id, s.machine, s.id, s.instance))
	}
	var never *domain.Rejection
	var aside *engine.SetAside
	if err != nil && id != (domain.ID{}) && (!errors.As(err, &never) || errors.As(err, &aside)) {
		s.complain("end not recorded", err) // the agent says it again
		return
	}
	s.complain("end has no place in the log", err)
	ended.Deployment = e.Deployment
	s.send(client.ToAgent{Ended: &ended})
}

// leave notes that the agent has left. It is called before the log is told, so that the resulting news is ignored.
func (s *session) leave() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.left = true
}

func (s *session) goodbye(ctx context.Context, g client.Goodbye) {
	s.leave()
	s.mu.Lock()
	connect := s.connect
	s.mu.Unlock()
	s.hub.sessions.drop(s)
	_, err := s.hub.handle(ctx, domain.ID{}, domain.DisconnectMachine{Name: s.machine, Connect: connect,
		Reason: "said-goodbye"})
	if err == nil && g.Delete {
		_, err = s.hub.handle(ctx, domain.ID{}, domain.DeleteMachine{Name: s.machine, Reason: "ephemeral",
			Origin: domain.AgentOrigin(s.instance), Session: s.id})
	}
	s.complain("goodbye not recorded", err)
	_ = s.conn.Close(websocket.StatusNormalClosure, "")
}

func (s *session) complain(what string, err error) {
	if err != nil {
		s.hub.log.Warn(what, zap.String("machine", s.machine), zap.Error(err))
	}
}

// unfinishedOf names the parts that an agent must answer for.
func unfinishedOf(v *projections.View, machine string) []client.Unfinished {
	list := []client.Unfinished{}
	for _, part := range rollout.Unfinished(v, machine) {
		list = append(list, client.Unfinished{Deployment: part.Deployment.ID.String(),
			Project: part.Deployment.Project.Name, Session: part.Session.String()})
	}
	return list
}
