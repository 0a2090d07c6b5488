package agents

import (
	"context"
	"net/http"
	"time"

	"github.com/droverhq/drover/access"
	"github.com/droverhq/drover/api/client"
	"github.com/droverhq/drover/api/problem"
	"github.com/droverhq/drover/domain"
	"github.com/droverhq/drover/engine"
	"github.com/droverhq/drover/internal/ids"
	"github.com/droverhq/drover/projections"
)

// JoinInput is the request of an HTTP agent to join or to rejoin.
type JoinInput struct {
	Machine     string
	Environment string
	Roles       []string
	Ephemeral   bool
	// Policy is the machine policy that the agent asks for; may be empty.
	Policy string
	// Instance is the agent's own UUID. Secret authenticates the agent after it has joined.
	Instance, Secret string
}

// Join adds the machine of an agent that uses plain HTTP. A caller with a join token joins for the first time, or
// again as the same instance. A caller with its own secret rejoins after its machine was deleted.
func (h *Hub) Join(ctx context.Context, c access.Caller, in JoinInput) (engine.Result, error) {
	if err := h.cutOff(); err != nil {
		return engine.Result{}, err
	}
	if c.Join != "" {
		return h.join(ctx, c, in)
	}
	return h.rejoin(ctx, c, in)
}

func (h *Hub) join(ctx context.Context, c access.Caller, in JoinInput) (engine.Result, error) {
	j := joinRequest{machine: in.Machine, secret: in.Secret, environment: in.Environment, roles: in.Roles,
		ephemeral: in.Ephemeral, policy: in.Policy}
	var err error
	if j.instance, err = domain.ParseID(in.Instance); err == nil {
		err = j.check()
	}
	if err != nil {
		return engine.Result{}, problem.Invalid("%s", err.Error()).
			WithHint("send the agent's own instance (a UUID) and secret")
	}
	unlock, err := h.sessions.lockAdmission(ctx, j.machine)
	if err != nil {
		return engine.Result{}, err
	}
	defer unlock()
	if err = h.cfg.Engine.CatchUp(ctx); err == nil { // another server may have just admitted this instance
		owned := h.prove(j).owned
		if err = h.checkInstance(j, owned); err == nil {
			err = h.checkFolder(j, owned)
		}
	}
	environment, roles, exists, _ := h.placement(j)
	token, _ := h.cfg.Access.TokenByID(c.Join)
	if err == nil && !exists {
		err = h.checkMachine(j, token.Settings)
	}
	if err == nil {
		err = h.checkName(j, token.Settings.Machine == j.machine)
	}
	if err != nil {
		return engine.Result{}, err
	}
	result, err := h.handle(ctx, domain.ID{}, domain.UseToken{ID: c.Join, Instance: j.instance, Machine: j.machine,
		Secret: access.Hash(j.secret), Environment: environment, Roles: roles, Now: h.tokenTime()})
	if err != nil {
		return result, h.countNoPlace(err)
	}
	if added, err := h.ensureMachine(ctx, j); err != nil || len(added.Events) > 0 {
		return added, err
	}
	return result, nil
}

// rejoin adds the machine or undoes its clean-up, as a WebSocket connection of the agent would do. It changes nothing if
// the machine exists.
func (h *Hub) rejoin(ctx context.Context, c access.Caller, in JoinInput) (engine.Result, error) {
	if err := c.RequireAgent(in.Machine); err != nil {
		return engine.Result{}, err
	}
	j := joinRequest{machine: c.Machine, instance: c.Instance, environment: in.Environment, roles: in.Roles,
		ephemeral: in.Ephemeral, policy: in.Policy}
	unlock, err := h.sessions.lockAdmission(ctx, j.machine)
	if err != nil {
		return engine.Result{}, err
	}
	defer unlock()
	if err := h.checkTokenLimits(c.Joined, j); err != nil {
		return engine.Result{}, err
	}
	return h.ensureMachine(ctx, j)
}

// httpAgent is an agent that uses plain HTTP, with the state of its machine in the log.
type httpAgent struct {
	machine  domain.Machine
	instance domain.ID
	admin    bool // the caller is no agent, and has all permissions
	joined   domain.TokenSettings
	settings client.Settings
}

// httpAgent returns the agent of the named machine if the caller may act as that agent. instance may be empty.
func (h *Hub) httpAgent(c access.Caller, name, instance string) (httpAgent, error) {
	if err := c.RequireAgent(name); err != nil {
		return httpAgent{}, err
	}
	if err := h.cutOff(); err != nil {
		return httpAgent{}, err
	}
	s := httpAgent{instance: c.Instance, admin: c.Machine == "", joined: c.Joined}
	if instance != "" {
		id, err := domain.ParseID(instance)
		if err != nil {
			return s, problem.Invalid("instance: %s", err.Error())
		}
		if c.Machine != "" && id != c.Instance {
			return s, problem.Forbidden("the secret belongs to another instance").
				WithHint("omit the instance")
		}
		s.instance = id
	}
	n := h.stateOf(name)
	if n.machine == nil {
		return s, problem.NotFound("machine %.80q does not exist", name).
			WithHint("first send POST /api/v1/machines with a join token or the agent's own secret")
	}
	s.machine, s.settings = *n.machine, n.settings
	if s.instance.IsZero() {
		s.instance = n.machine.Instance
	}
	return s, nil
}

// requireSession checks that the agent's session is the newest one of its machine. The request counts as a heartbeat.
func (h *Hub) requireSession(ctx context.Context, c access.Caller, name, session string) (httpAgent, error) {
	s, err := h.httpAgent(c, name, "")
	if err != nil {
		return s, err
	}
	m := s.machine
	if !m.Online || m.Instance != s.instance || session != "" && session != m.Session.String() {
		return s, problem.Conflict("machine %s is not online in this session", name).
			WithHint("report online first, then send the session that is returned")
	}
	return s, h.recordHeartbeat(ctx, m)
}

// recordHeartbeat records a heartbeat of a machine's agent. If another server holds the session, the heartbeat is passed
// on to that server. If that server is gone, this one takes the session over.
func (h *Hub) recordHeartbeat(ctx context.Context, m domain.Machine) error {
	if m.Server == h.cfg.Engine.Server() {
		h.cfg.Engine.HeartbeatOverHTTP(m.Name, m.Connect)
		return nil
	}
	if !h.abandoned(m.Name) {
		return h.cfg.Engine.ForwardHeartbeat(m.Connect)
	}
	_, err := h.connectOverHTTP(ctx, joinRequest{machine: m.Name, session: m.Session, instance: m.Instance})
	return err
}

// abandoned reports whether the server that holds the session of a machine is gone.
func (h *Hub) abandoned(machine string) (gone bool) {
	h.cfg.Engine.ReadWithAge(func(v *projections.View, age projections.Age) {
		m := v.Machines[machine]
		gone = m != nil && h.cfg.Engine.Abandoned(m, age(m.Connected))
	})
	return gone
}

// connectOverHTTP makes this server the holder of a session over plain HTTP.
func (h *Hub) connectOverHTTP(ctx context.Context, j joinRequest) (engine.Result, error) {
	result, err := h.handle(ctx, domain.ID{}, h.connectCommand(j))
	if err != nil {
		return result, err
	}
	h.sessions.setOverHTTP(j.machine, j.session)
	if n := h.stateOf(j.machine); n.machine != nil {
		h.cfg.Engine.HeartbeatOverHTTP(j.machine, n.machine.Connect)
	}
	return result, nil
}

// ReportInput is a report of an agent about its machine.
type ReportInput struct {
	Machine string
	// Status is online, offline, healthy, warning or unhealthy.
	Status string
	// Instance is required from an admin; the instance of an agent is known.
	Instance string
	// Session is the session that the report of online returned; may be empty.
	Session string
	Detail  string
	// Remembered is what the agent remembers about its successes; nil: it states nothing. Only for online.
	Remembered *client.Remembered
	// Conditions are the problems of the machine, only for online. Each report of online states all of them, so without any,
	// nothing is wrong, whatever another agent of the instance stated before.
	Conditions []domain.Condition
	// Clock is what the clock of the machine shows; zero: unknown.
	Clock time.Time
}

// Reported is the response to a report.
type Reported struct {
	Session domain.ID
	engine.Result
	HeartbeatEvery domain.Duration
	// Kills are the parts that the agent should stop.
	Kills []client.Kill
}

// Report handles a report: it starts a session, ends it, or records the machine's health in it.
func (h *Hub) Report(ctx context.Context, c access.Caller, in ReportInput) (r Reported, err error) {
	s, err := h.httpAgent(c, in.Machine, in.Instance)
	if err == nil {
		err = in.checkConditions()
	}
	if err != nil {
		return r, err
	}
	r.HeartbeatEvery = s.settings.HeartbeatEvery
	if in.Session != "" {
		if r.Session, err = domain.ParseID(in.Session); err != nil {
			return r, problem.Invalid("session: %s", err.Error())
		}
	}
	switch in.Status {
	case "online":
		h.cfg.Engine.AgentClock(in.Machine, in.Clock)
		r.Session, r.Result, err = h.comeOnline(ctx, s, r.Session)
		if err == nil {
			_, err = h.recordConditions(ctx, in.Machine, r.Session, in.Conditions) // else the next report repeats them
		}
		if err == nil && in.Remembered != nil {
			err = h.reportRemembered(ctx, in.Machine, r.Session, *in.Remembered)
		}
		r.Kills = h.stateOf(in.Machine).kills
	case "offline":
		r.Session = s.machine.Session
		r.Result, err = h.goOffline(ctx, s, in.Session)
	default:
		r.Session = s.machine.Session
		if _, err = h.requireSession(ctx, c, in.Machine, in.Session); err == nil && s.machine.Health != domain.Health(in.Status) &&
			!h.allowHealth(in.Machine) {
			return r, errHealthTooOften
		}
		if err == nil {
			r.Result, err = h.handle(ctx, domain.ID{}, domain.ReportHealth{Name: in.Machine, Session: r.Session,
				Status: domain.Health(in.Status), Detail: bounded(in.Detail)})
		}
	}
	return r, err
}

// errHealthTooOften refuses a report over plain HTTP.
var errHealthTooOften = problem.Unavailable("the machine changes its health too often").
	WithHint("report it again later").WithStatus(http.StatusTooManyRequests)

// comeOnline starts a session over plain HTTP, or returns the open one.
func (h *Hub) comeOnline(ctx context.Context, s httpAgent, session domain.ID) (domain.ID, engine.Result, error) {
	if s.instance.IsZero() {
		return session, engine.Result{}, problem.Invalid("the report has no instance").
			WithHint("send a UUID that stays the same for this machine")
	}
	unlock, err := h.sessions.lockAdmission(ctx, s.machine.Name)
	if err != nil {
		return session, engine.Result{}, err
	}
	defer unlock()
	if session.IsZero() {
		session = ids.New()
		if s.machine.Online && s.machine.Instance == s.instance && h.sessions.isOverHTTP(s.machine.Name, s.machine.Session) {
			session = s.machine.Session
		}
	}
	j := joinRequest{machine: s.machine.Name, instance: s.instance, session: session, admin: s.admin}
	if err := h.checkName(j, false); err != nil {
		return session, engine.Result{}, err
	}
	if !s.admin {
		if err := h.checkTokenLimits(s.joined, j); err != nil {
			return session, engine.Result{}, err
		}
	}
	if refused := h.checkClone(ctx, j); refused != nil {
		return session, engine.Result{}, problem.Conflict("%s", refused.Reason).
			WithHint("send the session that the first report of online returned")
	}
	m := s.machine
	open := m.Online && m.Session == session
	if !open {
		if err := h.allowReconnect(m.Name); err != nil {
			return session, engine.Result{}, err
		}
	}
	if open && m.Server != h.cfg.Engine.Server() {
		return session, engine.Result{Position: h.cfg.Engine.Position()}, h.recordHeartbeat(ctx, m)
	}
	result, err := h.connectOverHTTP(ctx, j)
	return session, result, err
}

// goOffline ends the agent's session if it is still the newest one of the machine.
func (h *Hub) goOffline(ctx context.Context, s httpAgent, session string) (engine.Result, error) {
	if s.machine.Instance != s.instance || session != "" && session != s.machine.Session.String() {
		return engine.Result{}, problem.Conflict("the session is not the newest one of machine %s", s.machine.Name).
			WithHint("the session has already been replaced; there is nothing to end")
	}
	return h.handle(ctx, domain.ID{}, domain.DisconnectMachine{Name: s.machine.Name, Connect: s.machine.Connect,
		Reason: "reported"})
}

// Work returns the part that a machine should claim now, or nil if no part is waiting, and the parts that it should stop.
func (h *Hub) Work(ctx context.Context, c access.Caller, machine string) (*client.Work, []client.Kill, error) {
	if _, err := h.requireSession(ctx, c, machine, ""); err != nil {
		return nil, nil, err
	}
	n := h.stateOf(machine)
	return n.work, n.kills, nil
}

// PartInput identifies a machine's part of a deployment, and the session of its agent.
type PartInput struct {
	Deployment, Machine, Session string
	// Ran is what the part has run; only for End, and empty if the agent does not say.
	Ran client.RanPart
}

// part returns the deployment and the agent of a request about a part.
func (h *Hub) part(ctx context.Context, c access.Caller, in PartInput) (domain.ID, httpAgent, error) {
	deployment, err := in.deployment()
	if err != nil {
		return deployment, httpAgent{}, err
	}
	s, err := h.requireSession(ctx, c, in.Machine, in.Session)
	return deployment, s, err
}

func (in PartInput) deployment() (domain.ID, error) {
	id, err := domain.ParseID(in.Deployment)
	if err != nil {
		return id, problem.NotFound("deployment %.80q does not exist", in.Deployment)
	}
	return id, nil
}

// Claim asks to start a part. With a key, only the claim that is in the log counts, even if the request is repeated.
// With the zero key, all claims of the session count.
func (h *Hub) Claim(ctx context.Context, c access.Caller, key domain.ID, in PartInput) (client.Claimed, error) {
	id, s, err := h.part(ctx, c, in)
	if err != nil {
		return client.Claimed{}, err
	}
	return h.claim(ctx, key, domain.ClaimPart{Deployment: id, Machine: in.Machine, Session: s.machine.Session,
		Instance: s.instance})
}

// StoreOutput stores a chunk of a part's output, once per sequence.
func (h *Hub) StoreOutput(ctx context.Context, c access.Caller, in PartInput, sequence int64, data []byte) error {
	id, s, err := h.part(ctx, c, in)
	if err != nil {
		return err
	}
	return h.storeOutput(ctx, id, in.Machine, s.instance, sequence, data)
}

// End records how a part ended. It accepts the result in any session of the instance that claimed the part, because
// results must not be lost.
func (h *Hub) End(ctx context.Context, c access.Caller, in PartInput, reported client.End) (client.Ended, error) {
	id, err := in.deployment()
	if err != nil {
		return client.Ended{}, err
	}
	s, err := h.httpAgent(c, in.Machine, "")
	if err != nil {
		return client.Ended{}, err
	}
	session, err := domain.ParseID(in.Session)
	if err != nil {
		return client.Ended{}, problem.Invalid("session: %s", err.Error())
	}
	if m := s.machine; m.Online && m.Instance == s.instance {
		_ = h.recordHeartbeat(ctx, m) // the result is accepted even if the heartbeat is not
	}
	return h.endPart(ctx, endOf(reported, id, in.Machine, session, s.instance), in.Ran)
}
