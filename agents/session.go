package agents

import (
	"context"
	"encoding/json"
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
	"github.com/droverhq/drover/eventlog"
	"github.com/droverhq/drover/projections"
	"github.com/droverhq/drover/rollout"
)

// session is one WebSocket connection of an agent.
type session struct {
	hub          *Hub
	conn         *websocket.Conn
	machine      string
	instance, id domain.ID
	owned        []domain.TokenUsed // whose secret the agent knows
	form         string             // of the authentication, such as client.ProofForm
	version      string             // reported by the agent
	inbox        inbox

	statesConditions bool // whether the agent states its conditions after each welcome

	// settings, sentRevision, killed, log and doubted are used only by the pushing goroutine.
	settings     client.Settings
	sentRevision eventlog.Revision
	killed       []string  // deployments whose parts the agent was asked to stop
	log          uuid.UUID // the log's id at the welcome
	doubted      bool      // whether the machine was doubted at the welcome

	mu               sync.Mutex    // guards the fields below
	connect          domain.ID     // the connect event that the session belongs to
	lastMessage      time.Duration // time of the last message, on the monotonic clock
	offered          string
	pushing, pending bool
	left             bool // the agent said goodbye, or the connection is closed
	ending           bool // this server closes the connection
	// lastHealth is the last result of the policy's health check, which the agent reports once; nil: none yet.
	lastHealth *client.Health
	// healthPostponed means that lastHealth was not recorded, because the machine changes its health too often.
	healthPostponed bool
	// conditions is the agent's last statement about its machine until it is recorded; nil: none.
	conditions *client.Conditions
	// unjudged is the agent's last statement about its successes until it has been compared with the log; nil: none.
	// welcomed is the position that the log had reached before the welcome.
	unjudged *client.Remembered
	// ran contains the parts from that statement whose ends were not confirmed, by deployment.
	ran      map[string]client.RanPart
	welcomed eventlog.Position
}

// sendTimeout bounds the time to send one message. An agent that does not accept it is disconnected.
const sendTimeout = 10 * time.Second

// send sends a message. If that fails, it closes the connection.
func (s *session) send(m client.ToAgent) {
	ctx, cancel := context.WithTimeout(context.Background(), sendTimeout)
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

// refuse sends a refusal and closes the connection.
func (s *session) refuse(r client.Refused) {
	s.send(client.ToAgent{Refused: &r})
	s.end(websocket.StatusPolicyViolation, "refused")
}

// end starts to close the connection with a handshake.
func (s *session) end(code websocket.StatusCode, reason string) {
	s.mu.Lock()
	s.ending = true
	s.mu.Unlock()
	go s.conn.Close(code, reason)
}

// isEnding reports whether this server has started to close the connection.
func (s *session) isEnding() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.ending
}

// recordMessage records that the agent sent a message, which counts as a heartbeat.
func (s *session) recordMessage() {
	s.mu.Lock()
	s.lastMessage = s.hub.cfg.Clock.Elapsed()
	connect := s.connect
	s.mu.Unlock()
	s.hub.cfg.Engine.Heartbeat(s.machine, connect)
}

// setConnect records the connect event that the session belongs to from now on.
func (s *session) setConnect(connect domain.ID) {
	s.mu.Lock()
	changed := s.connect != connect
	s.connect = connect
	s.mu.Unlock()
	if changed {
		s.hub.cfg.Engine.Heartbeat(s.machine, connect)
	}
}

// revoked reports whether every token that the agent joined with as this machine is revoked.
func (s *session) revoked() bool {
	return !slices.ContainsFunc(s.hub.cfg.Access.Uses(s.instance), func(u access.Use) bool {
		return !u.Revoked && s.holds(u)
	})
}

// reconnect brings a machine online again that is offline in the log although its agent is connected. If the agent
// has been silent for too long, it closes the connection.
func (s *session) reconnect(n machineState) {
	s.mu.Lock()
	silent, left := s.hub.cfg.Clock.Elapsed()-s.lastMessage, s.left
	s.mu.Unlock()
	if left { // this is why the machine is offline
		return
	}
	if silent > time.Duration(n.settings.OfflineAfter) || s.hub.gate.IsClosed() {
		s.end(websocket.StatusGoingAway, "the agent was silent for too long")
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), requestTimeout)
	defer cancel()
	_, err := s.hub.handle(ctx, domain.ID{},
		s.hub.connectCommand(joinRequest{machine: s.machine, session: s.id, instance: s.instance}))
	if err != nil {
		s.hub.logOf(s.machine).Warn("agent disconnected", zap.String("machine", s.machine), zap.Error(err))
		s.end(websocket.StatusTryAgainLater, "the machine cannot come online")
	}
}

// handleMessage handles a message. It returns false if the session has ended.
func (s *session) handleMessage(ctx context.Context, m client.FromAgent) bool {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	count := func(kind string) { s.hub.messages[kind].Add(1) }
	switch {
	case m.Heartbeat != nil:
		s.recordHeartbeat(*m.Heartbeat)
		s.repeatOffer()
		s.repeatHealth(ctx)
		s.recordConditions(ctx)
		s.compareStatement(ctx)
	case m.Health != nil:
		count("health")
		s.receiveHealth(ctx, *m.Health)
	case m.Conditions != nil:
		count("conditions")
		s.receiveConditions(ctx, *m.Conditions)
	case m.Remembered != nil:
		count("remembered")
		s.receiveStatement(ctx, *m.Remembered)
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
		s.hub.logOf(s.machine).Info("agent answered about an unfinished part", zap.String("machine", s.machine),
			zap.String("deployment", bounded(m.Answer.Deployment)), zap.Bool("running", m.Answer.Running))
	case m.Goodbye != nil:
		count("goodbye")
		s.goodbye(ctx, *m.Goodbye)
		return false
	}
	return true
}

func (s *session) recordHeartbeat(b client.Heartbeat) {
	s.hub.messages["heartbeat"].Add(1)
	s.hub.cfg.Engine.AgentClock(s.machine, b.Clock)
}

// receiveHealth records a report, unless the machine changes its health too often. Then the last report waits for the next
// heartbeat. Reports of the same health change nothing and are not counted.
func (s *session) receiveHealth(ctx context.Context, h client.Health) {
	same := false
	s.hub.cfg.Engine.Read(func(v *projections.View) {
		m := v.Machines[s.machine]
		same = m != nil && (m.Health == h.Status || m.Reported == h.Status)
	})
	if same || s.hub.allowHealth(s.machine) {
		s.setPostponed(false)
		s.health(ctx, h)
		return
	}
	s.setLastHealth(&h)
	s.setPostponed(true)
}

func (s *session) setPostponed(postponed bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.healthPostponed = postponed
}

// health records a report, and stores it for repeatHealth.
func (s *session) health(ctx context.Context, h client.Health) {
	_, err := s.hub.handle(ctx, domain.ID{}, domain.ReportHealth{Name: s.machine, Session: s.id, Status: h.Status,
		Detail: bounded(h.Detail)})
	if err == nil || problem.Of(err).Kind != client.Invalid {
		s.setLastHealth(&h)
	}
	s.logError("could not record a health report", err)
}

func (s *session) setLastHealth(h *client.Health) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lastHealth = h
}

// repeatHealth records the last report if it is not in the log although the policy has a check, or if it was postponed.
// Either the log was not writable at that time, or the machine has had a policy without a check since then, or it changed
// its health too often. The agent reports each result only once.
func (s *session) repeatHealth(ctx context.Context) {
	if lastHealth := s.unrecordedHealth(); lastHealth != nil && s.hub.allowHealth(s.machine) {
		s.setPostponed(false)
		s.health(ctx, *lastHealth)
	}
}

// unrecordedHealth returns the last report if repeatHealth has to record it, else nil.
func (s *session) unrecordedHealth() *client.Health {
	s.mu.Lock()
	lastHealth, postponed := s.lastHealth, s.healthPostponed
	s.mu.Unlock()
	if lastHealth == nil {
		return nil
	}
	unrecorded := false
	s.hub.cfg.Engine.Read(func(v *projections.View) {
		m := v.Machines[s.machine]
		unrecorded = m != nil && m.Health != lastHealth.Status && (postponed || v.PolicyOf(m).HealthCheck != nil)
	})
	if !unrecorded {
		return nil
	}
	return lastHealth
}

// owes reports whether a heartbeat makes the session repeat something, which may need the log.
func (s *session) owes() bool {
	s.mu.Lock()
	owes := s.offered != "" || s.unjudged != nil || s.conditions != nil
	s.mu.Unlock()
	return owes || s.unrecordedHealth() != nil
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
		s.logError("could not record a claim", err) // the agent repeats it
		return
	}
	s.send(client.ToAgent{Claimed: &claimed})
	if !claimed.Counts {
		s.repeatOffer()
	}
}

func (s *session) output(ctx context.Context, o client.Output) {
	id, err := domain.ParseID(o.Deployment)
	if err == nil {
		err = s.hub.storeOutput(ctx, id, s.machine, s.instance, o.Sequence, o.Data)
	}
	s.logError("could not store output", err)
}

// ended records and confirms the end of a part. It also confirms an end that the log permanently rejects, so that the
// agent removes it.
func (s *session) ended(ctx context.Context, e client.End) {
	id, err := domain.ParseID(e.Deployment)
	ended := client.Ended{Deployment: e.Deployment}
	if err == nil {
		ended, err = s.hub.endPart(ctx, endOf(e, id, s.machine, s.id, s.instance), s.ranPart(e.Deployment))
	}
	if err != nil && id != (domain.ID{}) && !isRejected(err) {
		s.logError("could not record the end of a part", err) // the agent repeats it
		return
	}
	s.logError("the end of a part was rejected", err)
	ended.Deployment = e.Deployment
	s.send(client.ToAgent{Ended: &ended})
}

// markLeft records that the agent has left. It must be called before the log records the departure, so that the
// resulting change is not sent to the agent.
func (s *session) markLeft() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.left = true
}

func (s *session) goodbye(ctx context.Context, g client.Goodbye) {
	s.markLeft()
	s.mu.Lock()
	connect := s.connect
	s.mu.Unlock()
	s.hub.sessions.drop(s)
	_, err := s.hub.handle(ctx, domain.ID{}, domain.DisconnectMachine{Name: s.machine, Connect: connect,
		Reason: "said-goodbye"})
	if err == nil && g.Delete {
		_, err = s.hub.handle(ctx, domain.ID{}, domain.DeleteMachine{Name: s.machine, Reason: domain.EphemeralReason,
			Origin: domain.AgentOrigin(s.instance), Session: s.id})
	}
	s.logError("could not record a goodbye", err)
	_ = s.conn.Close(websocket.StatusNormalClosure, "")
}

func (s *session) logError(what string, err error) {
	if err != nil {
		s.hub.logOf(s.machine).Warn(what, zap.String("machine", s.machine), zap.String("error", bounded(err.Error())))
	}
}

// unfinishedOf returns the parts whose state the agent must report.
func unfinishedOf(v *projections.View, machine string) []client.Unfinished {
	list := []client.Unfinished{}
	for _, part := range rollout.Unfinished(v, machine) {
		list = append(list, client.Unfinished{Deployment: part.Deployment.ID.String(),
			Project: part.Deployment.Project.Name, Session: part.Session.String()})
	}
	return list
}
