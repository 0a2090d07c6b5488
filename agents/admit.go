package agents

import (
	"context"
	"errors"
	"fmt"
	"slices"
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
)

// joiner is an agent that asks to be let in, over the WebSocket or plain HTTP.
type joiner struct {
	machine     string
	instance    domain.ID
	session     domain.ID // zero: one is to be chosen
	secret      string
	join        string // text of a join token; may be empty
	environment string
	roles       []string
	remote      string
	log         string // id of the log that the agent was welcomed to last; empty: none yet
	received    engine.ReadPoint
}

func joinerOf(h client.Hello, remote string) (joiner, error) {
	j := joiner{machine: h.Machine, secret: h.Secret, join: h.Join, environment: h.Environment, roles: h.Roles,
		remote: remote}
	if h.Memory != nil {
		j.log = h.Memory.Log
	}
	var err error
	if j.instance, err = domain.ParseID(h.Instance); err != nil {
		return j, fmt.Errorf("instance: %w", err)
	}
	if j.session, err = domain.ParseID(h.Session); err != nil {
		return j, fmt.Errorf("session: %w", err)
	}
	return j, j.check()
}

// minSecret is the length below which a secret could be guessed.
const minSecret = 32

func (j joiner) check() error {
	if r := domain.CheckName("machine", j.machine); r != nil {
		return r
	}
	if len(j.secret) < minSecret || len(j.secret) > 1024 {
		return fmt.Errorf("the agent's secret has %d characters, and %d to 1024 are wanted", len(j.secret), minSecret)
	}
	if j.instance.IsZero() {
		return errors.New("the instance is the zero id")
	}
	return nil
}

// errRevoked ends an agent: its token was revoked, and trying again cannot help.
var errRevoked = errors.New("the token that this agent joined with was revoked")

// admit lets an agent in: it proves who it is, its machine comes online, and it is welcomed.
func (h *Hub) admit(ctx context.Context, conn *websocket.Conn, remote string, hello client.Hello) (*session, *client.Refused) {
	j, err := joinerOf(hello, remote)
	if err != nil {
		return nil, &client.Refused{Reason: err.Error(), Final: true}
	}
	if h.cfg.Access.TooFast(remote) && !h.knows(j) { // it costs nothing more
		return nil, refusedBy(access.ErrTooFast)
	}
	lock := h.sessions.admission(j.machine)
	lock.Lock()
	defer lock.Unlock()
	ctx, cancel := context.WithTimeout(ctx, answerWithin)
	defer cancel()
	j.received = h.cfg.Engine.ReadPoint()
	if err := h.cfg.Engine.CatchUpTo(ctx, j.received); err != nil { // another server may have let it in a moment ago
		return nil, refusedBy(err)
	}
	if err := h.prove(ctx, j); err != nil {
		return nil, refusedBy(err)
	}
	if refused := h.clone(ctx, j); refused != nil {
		return nil, refused
	}
	s := &session{hub: h, conn: conn, machine: j.machine, instance: j.instance, id: j.session,
		secret: access.Hash(j.secret), version: bounded(hello.Version), told: eventlog.NoStream, pushing: true}
	warnings, err := h.connect(ctx, j)
	if err == nil {
		err = h.compare(ctx, j, hello.Memory)
	}
	if err != nil {
		return nil, refusedBy(err)
	}
	h.welcome(s, warnings)
	return s, nil
}

func refusedBy(err error) *client.Refused {
	if errors.Is(err, errRevoked) {
		return &client.Refused{Reason: err.Error(), Final: true}
	}
	return &client.Refused{Reason: problem.Of(err).Error()}
}

// prove checks an agent's own secret, or joins it with its token.
func (h *Hub) prove(ctx context.Context, j joiner) error {
	revoked := false
	for _, use := range h.cfg.Access.Uses(j.instance) {
		if use.Machine != j.machine || !access.Matches(use.Secret, j.secret) {
			continue
		}
		if !use.Revoked {
			if err := h.mayBecome(use.Settings, j); err != nil {
				return err
			}
			return h.free(j)
		}
		revoked = true
	}
	if j.join != "" {
		return h.joinWith(ctx, j)
	}
	if revoked {
		return errRevoked
	}
	return h.refuseAgent(j, fmt.Sprintf("machine %s has not joined as this instance", j.machine), "start the agent with --join TOKEN; `drover token create --join` makes one")
}

// knows says whether this server already knows the joiner's own secret or its token.
func (h *Hub) knows(j joiner) bool {
	_, known := h.cfg.Access.Token(j.join)
	return known || slices.ContainsFunc(h.cfg.Access.Uses(j.instance),
		func(u access.Use) bool { return access.Matches(u.Secret, j.secret) })
}

// mine refuses an instance that has joined with another secret. Ids of instances are no secrets: every reader sees them.
func (h *Hub) mine(j joiner) error {
	uses := h.cfg.Access.Uses(j.instance)
	if slices.ContainsFunc(uses, func(u access.Use) bool { return access.Matches(u.Secret, j.secret) }) {
		return nil
	}
	taken := len(uses) > 0
	h.cfg.Engine.Read(func(v *projections.View) {
		m := v.Machines[j.machine]
		taken = taken || m != nil && m.Instance == j.instance
	})
	if taken {
		return problem.Forbidden("instance %s has joined with another secret", j.instance).
			WithHint("a new machine needs an empty --data folder")
	}
	return nil
}

// refuseAgent counts a bad credential of an agent and returns its problem.
func (h *Hub) refuseAgent(j joiner, reason, hint string) error {
	h.cfg.Access.Failed(j.remote)
	if log := h.cfg.Engine.LogID().String(); j.log != "" && j.log != log {
		hint = fmt.Sprintf("this agent has joined log %.80q, and this server keeps log %s: does --server name servers of two clusters?", j.log, log)
	}
	return problem.New(client.Unauthorised, reason, hint)
}

// as returns the environment and roles of the joiner: those of the machine in the log if it exists, else its own.
func (h *Hub) as(j joiner) (environment string, roles []string, exists bool) {
	environment, roles = j.environment, domain.Names(j.roles)
	h.cfg.Engine.Read(func(v *projections.View) {
		if m := v.Machines[j.machine]; m != nil {
			environment, roles, exists = m.Environment, m.Roles, true
		}
	})
	return environment, roles, exists
}

// mayBecome refuses an agent whose machine does not exist and whose environment or roles its token does not allow.
func (h *Hub) mayBecome(s domain.TokenSettings, j joiner) error {
	environment, roles, exists := h.as(j)
	if exists {
		return nil
	}
	if len(s.Environments) > 0 && !slices.Contains(s.Environments, environment) {
		return problem.Forbidden("the join token is not good for environment %.80q", environment).
			WithHint("it is good for %v", s.Environments)
	}
	for _, role := range roles {
		if len(s.Roles) > 0 && !slices.Contains(s.Roles, role) {
			return problem.Forbidden("the join token is not good for role %.80q", role).
				WithHint("it is good for %v", s.Roles)
		}
	}
	return nil
}

// joinWith uses a join token. Nothing is used up before it is clear that the agent can be let in.
func (h *Hub) joinWith(ctx context.Context, j joiner) error {
	token, ok := h.cfg.Access.Token(j.join)
	switch {
	case !ok || !token.Settings.Join:
		return h.refuseAgent(j, "the join token is not known", "`drover token create --join` makes another one")
	case token.Revoked:
		return errRevoked
	}
	if err := h.mine(j); err != nil {
		h.cfg.Access.Failed(j.remote)
		return err
	}
	environment, roles, exists := h.as(j)
	if !exists {
		if err := h.canAdd(j); err != nil {
			return err
		}
	}
	if err := h.free(j); err != nil {
		return err
	}
	turn := h.sessions.turn(token.ID)
	turn.Lock()
	defer turn.Unlock()
	_, err := h.handleAsOf(ctx, j.received, domain.ID{},
		domain.UseToken{ID: token.ID, Instance: j.instance, Machine: j.machine, Secret: access.Hash(j.secret),
			Environment: environment, Roles: roles, Now: h.cfg.Clock.Now()})
	return err
}

// canAdd returns the rejection of adding the machine as the agent asks; nil if it can be added.
func (h *Hub) canAdd(j joiner) (err error) {
	h.cfg.Engine.Read(func(v *projections.View) {
		if _, rejection := j.machineCommand().Decide(v.World()); rejection != nil {
			err = rejection
		}
	})
	return err
}

func (j joiner) machineCommand() domain.ApplyMachine {
	return domain.ApplyMachine{Name: j.machine, Environment: j.environment, Roles: j.roles, Origin: domain.AgentOrigin(j.instance)}
}

// free refuses another instance while the machine is online: its name is taken.
func (h *Hub) free(j joiner) (err error) {
	h.cfg.Engine.Read(func(v *projections.View) {
		if m := v.Machines[j.machine]; m != nil && m.Online && m.Instance != j.instance {
			err = problem.Conflict("machine %s is online as another instance", j.machine).
				WithHint("give this agent another name; this one is free once the other has been silent beyond its policy's offlineAfter")
		}
	})
	return err
}

// pingWithin is how long the agent of a session may take to show that it lives.
const pingWithin = 3 * time.Second

// clone refuses the newer of two live sessions of one instance: somebody copied its disk.
func (h *Hub) clone(ctx context.Context, j joiner) *client.Refused {
	refused := &client.Refused{Reason: fmt.Sprintf("an agent with this identity is connected as machine %s already; was its disk copied? "+
		"an agent needs a --data of its own", j.machine)}
	if old := h.sessions.of(j.machine); old != nil {
		if old.id != j.session && old.instance == j.instance && old.lives(ctx) {
			return refused
		}
		h.sessions.drop(old)
		_ = old.conn.CloseNow()
	}
	elsewhere := false
	h.cfg.Engine.ReadWithAge(func(v *projections.View, age projections.Age) {
		m := v.Machines[j.machine]
		if m == nil || !m.Online || m.Instance != j.instance || m.Session == j.session || h.cfg.Engine.Abandoned(m, age(m.Connected)) {
			return
		}
		elsewhere = m.Server != h.cfg.Engine.Server()
		if server := v.Servers[m.Server]; elsewhere && server != nil {
			refused.Server = server.Facts.Address
		}
		if !elsewhere && h.sessions.isPlain(j.machine, m.Session) {
			elsewhere = h.cfg.Engine.HoldsSession(m.Connect, time.Duration(v.PolicyOf(m).OfflineAfter))
		}
	})
	if !elsewhere {
		return nil
	}
	refused.Reason = fmt.Sprintf("an earlier session of machine %s has not ended; it ends once it was silent beyond its policy's offlineAfter", j.machine)
	return refused
}

// lives pings the agent of a session.
func (s *session) lives(ctx context.Context) bool {
	ctx, cancel := context.WithTimeout(ctx, pingWithin)
	defer cancel()
	return s.conn.Ping(ctx) == nil
}

// connect adds the machine if it is not there, and brings it online. It warns where the agent's flags differ.
func (h *Hub) connect(ctx context.Context, j joiner) (warnings []string, err error) {
	environment, roles, exists := h.as(j)
	if !exists {
		if _, err := h.handleAsOf(ctx, j.received, domain.ID{}, j.machineCommand()); err != nil {
			return nil, err
		}
	} else {
		warnings = j.differs(environment, roles)
	}
	_, err = h.handleAsOf(ctx, j.received, domain.ID{},
		domain.ConnectMachine{Name: j.machine, Server: h.cfg.Engine.Server(), Session: j.session, Instance: j.instance})
	return warnings, err
}

// differs returns a warning for each flag of the agent that differs from the machine in the log, which counts.
func (j joiner) differs(environment string, roles []string) (warnings []string) {
	if j.environment != "" && j.environment != environment {
		warnings = append(warnings, fmt.Sprintf("--environment %.80s does not count: machine %s is in %s since its first join; apply a Machine to move it", j.environment, j.machine, environment))
	}
	if said := domain.Names(j.roles); len(said) > 0 && !slices.Equal(said, roles) {
		warnings = append(warnings, fmt.Sprintf("--role %.200v does not count: machine %s has the roles %v since its first join; apply a Machine to change them", said, j.machine, roles))
	}
	return warnings
}

// compare checks what the agent remembers as this machine against the log. It must come before the agent is told
// anything of this log.
func (h *Hub) compare(ctx context.Context, j joiner, remembered *client.Memory) error {
	if remembered == nil || remembered.Machine != j.machine {
		return nil
	}
	log, err := uuid.Parse(remembered.Log)
	if err != nil {
		return problem.Invalid("invalid log %.80q in the memory: use a UUID", remembered.Log)
	}
	made, _ := uuid.Parse(remembered.Made) // none: it may be of this log
	m := engine.AgentMemory{Log: log, Made: made, Revision: eventlog.Revision(max(remembered.Revision, 0)), Received: j.received}
	if remembered.Event != "" {
		if m.Event, err = domain.ParseID(remembered.Event); err != nil {
			return problem.Invalid("invalid event %.80q in the memory: use a UUID", remembered.Event)
		}
	}
	if m.Successes, err = remembers("success", remembered.Successes); err != nil {
		return err
	}
	if m.Deployments, err = remembers("deployment", remembered.Deployments); err != nil {
		return err
	}
	return h.cfg.Engine.CheckAgentMemory(ctx, j.machine, m)
}

// remembers parses the ids that an agent remembers by project.
func remembers(what string, texts map[string]string) (map[string]domain.ID, error) {
	found := map[string]domain.ID{}
	for project, text := range texts {
		id, err := domain.ParseID(text)
		if err != nil {
			return nil, problem.Invalid("invalid %s %.80q in the memory: use a UUID", what, text)
		}
		found[project] = id
	}
	return found, nil
}

// welcome accepts the session; from then on the agent is told what is new.
func (h *Hub) welcome(s *session, warnings []string) {
	n := h.newsOf(s.machine)
	s.log = n.log
	w := client.Welcome{Log: n.log.String(), Made: h.cfg.Engine.Made().String(),
		Server: h.cfg.Engine.Server().String(), Settings: n.settings, Warnings: warnings}
	if err := h.cfg.Engine.LostEvents(); err != nil {
		w.Warnings = append(w.Warnings, err.Error()+"; "+problem.DoubtHint)
	}
	h.cfg.Engine.Read(func(v *projections.View) { w.Unfinished = unfinishedOf(v, s.machine) })
	s.settings = n.settings
	s.heard = h.cfg.Clock.Elapsed()
	if n.machine != nil {
		s.connectedAs(n.machine.Connect)
	}
	h.log.Info("agent connected", zap.String("machine", s.machine), zap.Stringer("session", s.id),
		zap.Int("unfinished", len(w.Unfinished)))
	s.send(client.ToAgent{Welcome: &w})
	s.begin()
}

// begin registers the session and sends it what is new.
func (s *session) begin() {
	s.hub.sessions.put(s)
	if s.hub.gate.IsClosed() {
		s.end(websocket.StatusGoingAway, "the server stops")
	}
	s.mu.Lock()
	s.pushing = false
	s.mu.Unlock()
	s.look()
}
