package api

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"net"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/coder/websocket"
	"github.com/google/uuid"
	"go.uber.org/zap"

	"github.com/droverhq/drover/api/client"
	"github.com/droverhq/drover/domain"
	"github.com/droverhq/drover/engine"
	"github.com/droverhq/drover/eventlog"
	"github.com/droverhq/drover/projections"
	"github.com/droverhq/drover/rollout"
)

// session is one connection of an agent.
type session struct {
	api          *API
	conn         *websocket.Conn
	machine      string
	instance, id domain.ID
	secret       string // hash
	version      string // of its drover, as it says

	// settings and told belong to the one that pushes.
	settings client.Settings
	told     eventlog.Revision
	log      uuid.UUID // the id that the log went by at the welcome

	mu             sync.Mutex // guards what follows
	connect        domain.ID
	heard          time.Duration // on the clock that only rises
	offered        string
	pushing, again bool
	left           bool // the agent said goodbye, or its connection has ended
	// found is what the policy's health check found last, as the agent said once; nil: nothing yet.
	found *client.Health
}

// sendWithin bounds one message to an agent; one that does not take it is dropped.
const sendWithin = 10 * time.Second

// send sends a message, or gives the connection up.
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

// hear notes that the agent lives.
func (s *session) hear() {
	s.mu.Lock()
	s.heard = s.api.cfg.Clock.Elapsed()
	connect := s.connect
	s.mu.Unlock()
	s.api.cfg.Engine.Heard(s.machine, connect)
}

// connectedAs takes over the event that the session counts from now.
func (s *session) connectedAs(connect domain.ID) {
	s.mu.Lock()
	changed := s.connect != connect
	s.connect = connect
	s.mu.Unlock()
	if changed {
		s.api.cfg.Engine.Heard(s.machine, connect)
	}
}

// revoked says that no token is left that the agent joined with as this machine.
func (s *session) revoked() bool {
	return !slices.ContainsFunc(s.api.uses(s.instance), func(u use) bool {
		return !u.revoked && u.Machine == s.machine && u.Secret == s.secret
	})
}

// comeBack says that a machine which the log calls offline is online, if its agent was heard of lately; a
// connection over which nothing comes is given up.
func (s *session) comeBack(n news) {
	s.mu.Lock()
	silent, left := s.api.cfg.Clock.Elapsed()-s.heard, s.left
	s.mu.Unlock()
	if left { // that is why the log calls it offline
		return
	}
	if silent > time.Duration(n.settings.OfflineAfter) || s.api.isDraining() {
		s.end(websocket.StatusGoingAway, "nothing was heard for too long")
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), answerWithin)
	defer cancel()
	_, err := s.api.handle(ctx, domain.ID{}, domain.ConnectMachine{Name: s.machine, Server: s.api.cfg.Engine.Server(), Session: s.id, Instance: s.instance})
	if err != nil {
		s.api.log.Warn("agent dropped", zap.String("machine", s.machine), zap.Error(err))
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

// take does what a message asks for; false ends the session.
func (s *session) take(ctx context.Context, m client.FromAgent) bool {
	ctx, cancel := context.WithTimeout(ctx, answerWithin)
	defer cancel()
	count := func(kind string) { s.api.metrics.requests.WithLabelValues(kind).Inc() }
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
		s.api.log.Info("part still runs", zap.String("machine", s.machine), zap.String("deployment", m.Answer.Deployment), zap.Bool("running", m.Answer.Running))
	case m.Goodbye != nil:
		count("goodbye")
		s.goodbye(ctx, *m.Goodbye)
		return false
	}
	return true
}

// health records a report, and keeps it for healthAgain.
func (s *session) health(ctx context.Context, h client.Health) {
	_, err := s.api.handle(ctx, domain.ID{}, domain.ReportHealth{Name: s.machine, Session: s.id, Status: h.Status, Detail: bounded(h.Detail)})
	if err == nil || problemOf(err).Kind != client.Invalid {
		s.find(&h)
	}
	s.complain("health report not taken", err)
}

func (s *session) find(h *client.Health) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.found = h
}

// healthAgain records the last report if the log has it not, though the policy has a check: it could not take it
// then, or a policy without a check came and went. The agent says a result once.
func (s *session) healthAgain(ctx context.Context) {
	s.mu.Lock()
	found := s.found
	s.mu.Unlock()
	if found == nil {
		return
	}
	differs := false
	s.api.cfg.Engine.Read(func(v *projections.View) {
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
	claimed, err := s.api.claim(ctx, domain.ID{}, domain.ClaimPart{Deployment: id, Machine: s.machine, Session: s.id, Instance: s.instance})
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
		err = s.api.takeOutput(ctx, id, s.machine, s.instance, o.Sequence, o.Data)
	}
	s.complain("output not kept", err)
}

// ended answers the end of a part. One that the log can never take is answered too, so that the agent forgets it.
func (s *session) ended(ctx context.Context, e client.End) {
	id, err := domain.ParseID(e.Deployment)
	ended := client.Ended{Deployment: e.Deployment}
	if err == nil {
		ended, err = s.api.end(ctx, endOf(e, id, s.machine, s.id, s.instance))
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

// leave notes that nobody is there any more. It comes before the log is told, so that the news of that finds it so.
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
	s.api.hub.drop(s)
	_, err := s.api.handle(ctx, domain.ID{}, domain.DisconnectMachine{Name: s.machine, Connect: connect, Reason: "said-goodbye"})
	if err == nil && g.Delete {
		_, err = s.api.handle(ctx, domain.ID{}, domain.DeleteMachine{Name: s.machine, Reason: "ephemeral", By: "agent", Session: s.id})
	}
	s.complain("goodbye not recorded", err)
	_ = s.conn.Close(websocket.StatusNormalClosure, "")
}

func (s *session) complain(what string, err error) {
	if err != nil {
		s.api.log.Warn(what, zap.String("machine", s.machine), zap.Error(err))
	}
}

// serveAgent opens the WebSocket of an agent. The session goes on in a goroutine of its own, so that nothing of the
// request is kept for it: agents are many, and most of them say for hours only that they live.
func (a *API) serveAgent(w http.ResponseWriter, r *http.Request) {
	if !a.enter() {
		problem(client.Unavailable, "this server is about to stop", "").write(w)
		return
	}
	conn, err := websocket.Accept(lean{w}, r, &websocket.AcceptOptions{CompressionMode: websocket.CompressionDisabled})
	if err != nil {
		a.open.Done()
		return // Accept has answered
	}
	go a.attend(conn, r.RemoteAddr)
}

// attend is a session from its hello to its end.
func (a *API) attend(conn *websocket.Conn, remote string) {
	defer a.open.Done()
	defer conn.CloseNow()
	defer a.survive(remote)
	conn.SetReadLimit(maxHelloBytes)
	ctx := context.Background()
	s := a.receive(ctx, conn, remote)
	if s == nil {
		return
	}
	defer a.hub.drop(s)
	defer s.leave()
	conn.SetReadLimit(client.MaxMessageBytes)
	s.listen(ctx)
}

// receive lets an agent in, or says why not.
func (a *API) receive(ctx context.Context, conn *websocket.Conn, remote string) *session {
	hello, refused := a.hello(ctx, conn)
	var s *session
	if refused == nil {
		s, refused = a.admit(ctx, conn, remote, hello)
	}
	if refused != nil {
		a.refusals.note(remote, hello.Machine, refused.Reason, a.cfg.Clock.Now())
		a.turnAway(ctx, conn, hello.Machine, *refused)
		return nil
	}
	a.refusals.forgive(s.machine)
	return s
}

// survive ends one session by a fault of this server; the others go on.
func (a *API) survive(remote string) {
	if fault := recover(); fault != nil {
		a.log.Error("session failed by a fault of this server", zap.String("remote", remote), zap.Any("fault", fault), zap.Stack("stack"))
	}
}

// Buffers of an agent's connection: what agents and servers say to each other is short.
const (
	readBuffer  = 512
	writeBuffer = 1 << 10
)

// lean gives a connection to the agents' door with buffers of that size, instead of 4 KB each.
type lean struct{ http.ResponseWriter }

// Hijack takes the connection over.
func (l lean) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	conn, buffered, err := http.NewResponseController(l.ResponseWriter).Hijack()
	if err != nil || buffered.Reader.Buffered() > 0 { // what was read ahead must not be lost
		return conn, buffered, err
	}
	return conn, bufio.NewReadWriter(bufio.NewReaderSize(conn, readBuffer), bufio.NewWriterSize(conn, writeBuffer)), nil
}

// A connection that has not said who it is may take no longer and send no more than this.
const (
	helloWithin   = 15 * time.Second
	maxHelloBytes = 1 << 20
)

func (a *API) hello(ctx context.Context, conn *websocket.Conn) (client.Hello, *client.Refused) {
	ctx, cancel := context.WithTimeout(ctx, helloWithin)
	defer cancel()
	_, text, err := conn.Read(ctx)
	var m client.FromAgent
	if err == nil {
		err = json.Unmarshal(text, &m)
	}
	if err != nil || m.Hello == nil {
		return client.Hello{}, &client.Refused{Reason: "the first message must be a hello"}
	}
	return *m.Hello, nil
}

func (a *API) turnAway(ctx context.Context, conn *websocket.Conn, machine string, r client.Refused) {
	ctx, cancel := context.WithTimeout(ctx, sendWithin)
	defer cancel()
	a.log.Info("agent refused", zap.String("machine", bounded(machine)), zap.String("reason", r.Reason), zap.Bool("final", r.Final))
	if sendTo(ctx, conn, client.ToAgent{Refused: &r}) == nil {
		_ = conn.Close(websocket.StatusPolicyViolation, "refused")
	}
}

// unfinishedOf names the parts that an agent must answer for.
func unfinishedOf(v *projections.View, machine string) []client.Unfinished {
	list := []client.Unfinished{}
	for _, part := range rollout.Unfinished(v, machine) {
		list = append(list, client.Unfinished{Deployment: part.Deployment.ID.String(), Project: part.Deployment.Project.Name, Session: part.Session.String()})
	}
	return list
}
