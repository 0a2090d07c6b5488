package agents

import (
	"context"

	"github.com/droverhq/drover/access"
	"github.com/droverhq/drover/api/client"
	"github.com/droverhq/drover/api/problem"
	"github.com/droverhq/drover/domain"
	"github.com/droverhq/drover/engine"
	"github.com/droverhq/drover/internal/ids"
)

// JoinInput is what an agent says of itself by plain HTTP when it joins or comes back.
type JoinInput struct {
	Machine     string
	Environment string
	Roles       []string
	// Instance and Secret are the agent's own: a UUID, and what it proves itself with from then on.
	Instance, Secret string
}

// Join adds the machine of an agent that speaks plain HTTP. A caller with a join token joins for the first time, or
// again as the same instance. A caller with its own secret comes back: its machine was deleted since it joined.
func (h *Hub) Join(ctx context.Context, c access.Caller, in JoinInput) (engine.Result, error) {
	if c.Join != "" {
		return h.join(ctx, c, in)
	}
	return h.comeBack(ctx, c, in)
}

func (h *Hub) join(ctx context.Context, c access.Caller, in JoinInput) (engine.Result, error) {
	j := joiner{machine: in.Machine, secret: in.Secret, environment: in.Environment, roles: in.Roles}
	var err error
	if j.instance, err = domain.ParseID(in.Instance); err == nil {
		err = j.check()
	}
	if err != nil {
		return engine.Result{}, problem.Invalid("%s", err.Error()).
			WithHint("an agent joins with an instance, a UUID, and a secret of its own")
	}
	lock := h.sessions.admission(j.machine)
	lock.Lock()
	defer lock.Unlock()
	if err = h.cfg.Engine.CatchUp(ctx); err == nil { // another server may have let its like in a moment ago
		err = h.mine(j)
	}
	environment, roles, exists := h.as(j)
	if err == nil && !exists {
		err = h.canAdd(j)
	}
	if err == nil {
		err = h.free(j)
	}
	if err != nil {
		return engine.Result{}, err
	}
	result, err := h.handle(ctx, domain.ID{}, domain.UseToken{ID: c.Join, Instance: j.instance, Machine: j.machine,
		Secret: access.Hash(j.secret), Environment: environment, Roles: roles, Now: h.cfg.Clock.Now()})
	if err != nil || exists {
		return result, err
	}
	return h.handle(ctx, domain.ID{}, j.machineCommand())
}

// comeBack adds the machine as a connection of the agent would. Nothing changes if the machine exists.
func (h *Hub) comeBack(ctx context.Context, c access.Caller, in JoinInput) (engine.Result, error) {
	if err := c.IsAgentOf(in.Machine); err != nil {
		return engine.Result{}, err
	}
	j := joiner{machine: c.Machine, instance: c.Instance, environment: in.Environment, roles: in.Roles}
	lock := h.sessions.admission(j.machine)
	lock.Lock()
	defer lock.Unlock()
	if err := h.mayBecome(c.Joined, j); err != nil {
		return engine.Result{}, err
	}
	if _, _, exists := h.as(j); exists {
		return engine.Result{Position: h.cfg.Engine.Position()}, nil
	}
	return h.handle(ctx, domain.ID{}, j.machineCommand())
}

// speaker is an agent by plain HTTP, checked against what the log says of its machine.
type speaker struct {
	machine  domain.Machine
	instance domain.ID
	settings client.Settings
}

// speaker finds the machine that a caller may speak for. instance may be empty.
func (h *Hub) speaker(c access.Caller, name, instance string) (speaker, error) {
	if err := c.IsAgentOf(name); err != nil {
		return speaker{}, err
	}
	s := speaker{instance: c.Instance}
	if instance != "" {
		id, err := domain.ParseID(instance)
		if err != nil {
			return s, problem.Invalid("instance: %s", err.Error())
		}
		if c.Machine != "" && id != c.Instance {
			return s, problem.Forbidden("the instance is not the one that this secret belongs to").
				WithHint("leave it out")
		}
		s.instance = id
	}
	n := h.newsOf(name)
	if n.machine == nil {
		return s, problem.NotFound("machine %.80q does not exist", name).
			WithHint("POST /api/v1/machines first, with a join token or the agent's own secret")
	}
	s.machine, s.settings = *n.machine, n.settings
	if s.instance.IsZero() {
		s.instance = n.machine.Instance
	}
	return s, nil
}

// inSession checks that a speaker's session is the newest of its machine; the request counts as a heartbeat.
func (h *Hub) inSession(ctx context.Context, c access.Caller, name, session string) (speaker, error) {
	s, err := h.speaker(c, name, "")
	if err != nil {
		return s, err
	}
	m := s.machine
	if !m.Online || m.Instance != s.instance || session != "" && session != m.Session.String() {
		return s, problem.Conflict("machine %s is not online in this session", name).
			WithHint("report online first, and send the session of the answer")
	}
	return s, h.beat(ctx, m)
}

// beat notes that the agent of a machine was heard. A session that another server held moves here.
func (h *Hub) beat(ctx context.Context, m domain.Machine) error {
	if m.Server != h.cfg.Engine.Server() {
		if _, err := h.handle(ctx, domain.ID{}, domain.ConnectMachine{Name: m.Name, Server: h.cfg.Engine.Server(), Session: m.Session, Instance: m.Instance}); err != nil {
			return err
		}
		h.sessions.setPlain(m.Name, m.Session)
		if n := h.newsOf(m.Name); n.machine != nil {
			m = *n.machine
		}
	}
	h.cfg.Engine.Heartbeat(m.Name, m.Connect)
	return nil
}

// ReportInput is what a machine's agent says of it.
type ReportInput struct {
	Machine string
	// Status is online, offline, healthy, warning or unhealthy.
	Status string
	// Instance is needed from an admin; an agent's own is known.
	Instance string
	// Session is the one that the answer to online gave; may be empty.
	Session string
	Detail  string
}

// Reported is the answer to a report.
type Reported struct {
	Session domain.ID
	engine.Result
	HeartbeatEvery domain.Duration
}

// Report takes a report: it begins a session, ends it, or tells the machine's health in it.
func (h *Hub) Report(ctx context.Context, c access.Caller, in ReportInput) (r Reported, err error) {
	s, err := h.speaker(c, in.Machine, in.Instance)
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
		r.Session, r.Result, err = h.comeOnline(ctx, s, r.Session)
	case "offline":
		r.Session = s.machine.Session
		r.Result, err = h.goOffline(ctx, s, in.Session)
	default:
		r.Session = s.machine.Session
		if _, err = h.inSession(ctx, c, in.Machine, in.Session); err == nil {
			r.Result, err = h.handle(ctx, domain.ID{}, domain.ReportHealth{Name: in.Machine, Session: r.Session,
				Status: domain.Health(in.Status), Detail: bounded(in.Detail)})
		}
	}
	return r, err
}

// comeOnline begins a session by plain HTTP, or finds the one that is open.
func (h *Hub) comeOnline(ctx context.Context, s speaker, session domain.ID) (domain.ID, engine.Result, error) {
	if s.instance.IsZero() {
		return session, engine.Result{}, problem.Invalid("the report names no instance").
			WithHint("send a UUID that the machine keeps")
	}
	lock := h.sessions.admission(s.machine.Name)
	lock.Lock()
	defer lock.Unlock()
	if session.IsZero() {
		session = ids.New()
		if s.machine.Online && s.machine.Instance == s.instance && h.sessions.isPlain(s.machine.Name, s.machine.Session) {
			session = s.machine.Session
		}
	}
	j := joiner{machine: s.machine.Name, instance: s.instance, session: session}
	if err := h.free(j); err != nil {
		return session, engine.Result{}, err
	}
	if refused := h.clone(ctx, j); refused != nil {
		return session, engine.Result{}, problem.Conflict("%s", refused.Reason).
			WithHint("send the session that the first answer gave")
	}
	result, err := h.handle(ctx, domain.ID{}, domain.ConnectMachine{Name: s.machine.Name,
		Server: h.cfg.Engine.Server(), Session: session, Instance: s.instance})
	if err != nil {
		return session, result, err
	}
	h.sessions.setPlain(s.machine.Name, session)
	if n := h.newsOf(s.machine.Name); n.machine != nil {
		h.cfg.Engine.Heartbeat(n.machine.Name, n.machine.Connect)
	}
	return session, result, nil
}

// goOffline ends the newest session of the speaker; one that was replaced has nothing to end.
func (h *Hub) goOffline(ctx context.Context, s speaker, session string) (engine.Result, error) {
	if s.machine.Instance != s.instance || session != "" && session != s.machine.Session.String() {
		return engine.Result{}, problem.Conflict("this is not the newest session of machine %s", s.machine.Name).
			WithHint("there is nothing to end")
	}
	return h.handle(ctx, domain.ID{}, domain.DisconnectMachine{Name: s.machine.Name, Connect: s.machine.Connect,
		Reason: "reported"})
}

// Work is the part that a machine should claim now; nil: none.
func (h *Hub) Work(ctx context.Context, c access.Caller, machine string) (*client.Work, error) {
	if _, err := h.inSession(ctx, c, machine, ""); err != nil {
		return nil, err
	}
	return h.newsOf(machine).work, nil
}

// PartInput names one machine's part of a deployment, and the session in which its agent speaks.
type PartInput struct {
	Deployment, Machine, Session string
}

// part reads which part a request is about, and finds who speaks.
func (h *Hub) part(ctx context.Context, c access.Caller, in PartInput) (domain.ID, speaker, error) {
	deployment, err := in.deployment()
	if err != nil {
		return deployment, speaker{}, err
	}
	s, err := h.inSession(ctx, c, in.Machine, in.Session)
	return deployment, s, err
}

func (in PartInput) deployment() (domain.ID, error) {
	id, err := domain.ParseID(in.Deployment)
	if err != nil {
		return id, problem.NotFound("deployment %.80q does not exist", in.Deployment)
	}
	return id, nil
}

// Claim asks to start a part. With a key, only the claim that is in the log counts, however often it is repeated;
// with the zero key all claims of the session do.
func (h *Hub) Claim(ctx context.Context, c access.Caller, key domain.ID, in PartInput) (client.Claimed, error) {
	id, s, err := h.part(ctx, c, in)
	if err != nil {
		return client.Claimed{}, err
	}
	return h.claim(ctx, key, domain.ClaimPart{Deployment: id, Machine: in.Machine, Session: s.machine.Session,
		Instance: s.instance})
}

// TakeOutput stores a piece of a part's output, once for each sequence.
func (h *Hub) TakeOutput(ctx context.Context, c access.Caller, in PartInput, sequence int64, data []byte) error {
	id, s, err := h.part(ctx, c, in)
	if err != nil {
		return err
	}
	return h.takeOutput(ctx, id, in.Machine, s.instance, sequence, data)
}

// End records how a part ended. The result is taken in any session of the instance that claimed the part: it must not
// be lost.
func (h *Hub) End(ctx context.Context, c access.Caller, in PartInput, said client.End) (client.Ended, error) {
	id, err := in.deployment()
	if err != nil {
		return client.Ended{}, err
	}
	s, err := h.speaker(c, in.Machine, "")
	if err != nil {
		return client.Ended{}, err
	}
	session, err := domain.ParseID(in.Session)
	if err != nil {
		return client.Ended{}, problem.Invalid("session: %s", err.Error())
	}
	if m := s.machine; m.Online && m.Instance == s.instance {
		_ = h.beat(ctx, m) // the result counts even if the heartbeat does not
	}
	return h.end(ctx, endOf(said, id, in.Machine, session, s.instance))
}
