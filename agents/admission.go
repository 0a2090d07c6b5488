package agents

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/coder/websocket"
	"go.uber.org/zap"

	"github.com/droverhq/drover/access"
	"github.com/droverhq/drover/api/client"
	"github.com/droverhq/drover/api/client/handshake"
	"github.com/droverhq/drover/api/problem"
	"github.com/droverhq/drover/domain"
	"github.com/droverhq/drover/engine"
	"github.com/droverhq/drover/eventlog"
	"github.com/droverhq/drover/projections"
)

// joinRequest is the request of an agent to be admitted, over the WebSocket or plain HTTP.
type joinRequest struct {
	machine     string
	instance    domain.ID
	session     domain.ID // zero: the server chooses one
	secret      string    // of an agent that sends it; may be empty
	join        string    // join token of an agent that sends it; may be empty
	verifier    string    // of the secret of an agent that joins or re-registers; may be empty
	environment string
	roles       []string
	ephemeral   bool
	policy      string
	cannotStop  bool // the agent is too old to stop a running part
	admin       bool // the request of a person or program with all permissions
	greeting
	proof, joinProof string
	log              string // id of the log that last welcomed the agent; empty: none yet
	received         engine.ReadPoint
}

func newJoinRequest(h client.Hello, g greeting) (joinRequest, error) {
	j := joinRequest{machine: h.Machine, secret: h.Secret, join: h.Join, verifier: h.Verifier, environment: h.Environment,
		roles: h.Roles, ephemeral: h.Ephemeral, policy: h.Policy, cannotStop: !h.ObeysKill, greeting: g, proof: h.Proof, joinProof: h.JoinProof}
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

// checkHandshake checks that the handshake belongs to the instance, and the form of the verifier.
func (j joinRequest) checkHandshake() error {
	name := handshake.AgentName(j.instance.String())
	if j.agent.Name != name {
		return fmt.Errorf("the handshake is for another instance than %s", j.instance)
	}
	if j.verifier != "" {
		return handshake.CheckVerifier(name, j.verifier)
	}
	return nil
}

// minSecret is the minimum length of an agent's secret. A shorter one could be guessed.
const minSecret = 32

func (j joinRequest) check() error {
	if r := domain.CheckName("machine", j.machine); r != nil {
		return r
	}
	if j.instance.IsZero() {
		return errors.New("invalid instance: use a UUID that is not zero")
	}
	if j.agent != nil {
		return j.checkHandshake()
	}
	if len(j.secret) < minSecret || len(j.secret) > 1024 {
		return fmt.Errorf("the agent's secret has %d characters: use %d to 1024", len(j.secret), minSecret)
	}
	return nil
}

// errRevoked permanently refuses an agent: its token was revoked, so retrying cannot help.
var errRevoked = errors.New("the token that this agent joined with was revoked")

// admit authenticates an agent, brings its machine online and sends the welcome.
func (h *Hub) admit(ctx context.Context, conn *websocket.Conn, g greeting,
	hello client.Hello) (s *session, refused *client.Refused) {
	if err := g.checkProtection(); err != nil {
		return nil, refusedBy(err)
	}
	var p proofs
	defer func() {
		if refused != nil {
			refused.Proof, refused.JoinProof = p.agentFinal, p.joinFinal
		}
	}()
	j, err := newJoinRequest(hello, g)
	if err != nil {
		p = h.prove(j)
		return nil, &client.Refused{Reason: err.Error(), Final: true}
	}
	if err := h.cutOff(); err != nil {
		return nil, refusedBy(err)
	}
	if h.cfg.Access.RateLimited(g.remote) { // checked before anything expensive
		if known := h.prove(j); known.token == nil && len(known.owned) == 0 {
			return nil, refusedBy(access.ErrRateLimited)
		}
	}
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	unlock, err := h.sessions.lockAdmission(ctx, j.machine)
	if err != nil {
		return nil, refusedBy(err)
	}
	defer unlock()
	j.received = h.cfg.Engine.ReadPoint()
	if err := h.cfg.Engine.CatchUpTo(ctx, j.received); err != nil { // another server may have just admitted it
		return nil, refusedBy(err)
	}
	p = h.prove(j)
	if err := h.authenticate(ctx, j, &p); err != nil {
		return nil, refusedBy(err)
	}
	if refused := h.checkClone(ctx, j); refused != nil {
		return nil, refused
	}
	if err := h.allowReconnect(j.machine); err != nil {
		return nil, refusedBy(err)
	}
	s = &session{hub: h, conn: conn, machine: j.machine, instance: j.instance, id: j.session, owned: p.uses(),
		form: g.form(), version: bounded(hello.Version), statesConditions: hello.StatesConditions, sentRevision: eventlog.NoStream, pushing: true}
	warnings, err := h.connect(ctx, j)
	if err == nil {
		err = h.compareMemory(ctx, j, hello.Memory)
	}
	if err != nil {
		return nil, refusedBy(err)
	}
	g.budget.release()
	conn.SetReadLimit(client.MaxMessageBytes) // before the welcome, which the agent may answer with a long message
	h.welcome(s, client.Welcome{Warnings: warnings, Proof: p.agentFinal, JoinProof: p.joinFinal,
		Registered: h.registered(p)})
	return s, nil
}

func refusedBy(err error) *client.Refused {
	if errors.Is(err, errRevoked) {
		return &client.Refused{Reason: err.Error(), Final: true}
	}
	return &client.Refused{Reason: problem.Of(err).Error()}
}

// authenticate checks what the agent has proved, or else lets it join with its token.
func (h *Hub) authenticate(ctx context.Context, j joinRequest, p *proofs) error {
	revoked := false
	for _, use := range p.owned {
		if use.Machine != j.machine {
			continue
		}
		if !use.Revoked {
			if _, full := h.placeToReturn(j); full != nil && (j.join != "" || j.joining != nil) {
				break // the other token may allow the machine
			}
			if err := h.checkTokenLimits(use.Settings, j); err != nil {
				return err
			}
			if err := h.checkName(j, false); err != nil {
				return err
			}
			h.registerVerifier(ctx, j, p)
			return nil
		}
		revoked = true
	}
	switch {
	case j.join != "" || j.joining != nil:
		return h.useJoinToken(ctx, j, p)
	case revoked:
		return errRevoked
	}
	if err := h.checkFolder(j, p.owned); err != nil {
		return err
	}
	return h.rejectCredential(j, fmt.Sprintf("machine %s has not joined with this instance", j.machine),
		"start the agent with --join TOKEN; create a token with `drover token create --join`")
}

// registerVerifier adds the verifier to the uses that have only a hash of the secret. If that fails, the agent repeats it
// when it connects again.
func (h *Hub) registerVerifier(ctx context.Context, j joinRequest, p *proofs) {
	for i, use := range p.owned {
		if j.agent == nil || use.Verifier != "" {
			continue
		}
		_, err := h.handleAsOf(ctx, j.received, domain.ID{}, domain.RegisterVerifier{ID: use.Token, Instance: j.instance,
			Secret: use.Secret, Verifier: j.verifier})
		if err != nil {
			h.logOf(j.machine).Warn("could not register the verifier of an agent's secret; the agent will repeat it",
				zap.String("machine", j.machine), zap.Error(err))
			continue
		}
		p.owned[i].Verifier = j.verifier
	}
}

// registered reports whether the log has a verifier of the agent's secret in all of its uses.
func (h *Hub) registered(p proofs) bool {
	return len(p.owned) > 0 && !slices.ContainsFunc(p.owned, func(u access.Use) bool { return u.Verifier == "" })
}

// checkFolder refuses an agent that proves that it joined as another machine.
func (h *Hub) checkFolder(j joinRequest, owned []access.Use) (err error) {
	if len(owned) == 0 {
		return nil
	}
	h.cfg.Engine.Read(func(v *projections.View) {
		if rejection := domain.FolderOfAnother(v.World(), j.instance, j.machine); rejection != nil {
			err = rejection
		}
	})
	return err
}

// checkInstance refuses an instance that has joined with another secret. An instance id does not authenticate an agent,
// because everyone with access to the log can read it.
func (h *Hub) checkInstance(j joinRequest, owned []access.Use) error {
	if len(owned) > 0 {
		return nil
	}
	taken := len(h.cfg.Access.Uses(j.instance)) > 0
	h.cfg.Engine.Read(func(v *projections.View) {
		m := v.Machines[j.machine]
		taken = taken || m != nil && m.Instance == j.instance
	})
	if taken {
		return problem.Forbidden("instance %s joined with another secret", j.instance).
			WithHint("a new machine needs an empty --data folder")
	}
	return nil
}

// rejectCredential counts an invalid credential of an agent and returns its problem. The agent has proved nothing, so it
// does not learn the id of the log.
func (h *Hub) rejectCredential(j joinRequest, reason, hint string) error {
	h.cfg.Access.RecordFailure(j.remote)
	if j.log != "" && j.log != h.cfg.Engine.LogID().String() {
		hint = fmt.Sprintf("this agent joined log %.80q but this server uses another one: "+
			"check whether --server names servers of two clusters", j.log)
	}
	return problem.New(client.Unauthorised, reason, hint)
}

// placement returns the environment and roles of the machine: those in the log if it exists, or if its clean-up can be
// undone, else those of the request. own means that the machine in the log is that of this instance.
func (h *Hub) placement(j joinRequest) (environment string, roles []string, exists, own bool) {
	environment, roles = j.environment, domain.SortedUnique(j.roles)
	h.cfg.Engine.Read(func(v *projections.View) {
		m := v.World().Machine(j.machine)
		if m == nil && j.returns(v) {
			m = &v.CleanedUp(j.machine).Machine.Machine
		}
		if m != nil {
			environment, roles, exists, own = m.Environment, m.Roles, true, m.Instance == j.instance
		}
	})
	return environment, roles, exists, own
}

// returns reports whether a clean-up has deleted the machine of this instance, and the deletion can be undone.
func (j joinRequest) returns(v *projections.View) bool {
	kept := v.CleanedUp(j.machine)
	return kept != nil && kept.Instance == j.instance
}

// ensureMachine adds the machine of an admitted agent, or undoes its clean-up, if it does not exist.
func (h *Hub) ensureMachine(ctx context.Context, j joinRequest) (result engine.Result, err error) {
	if token, _ := h.placeToReturn(j); token != "" {
		unlock, err := h.sessions.lockAdmission(ctx, "of token "+token) // no machine has this name
		if err != nil {
			return result, err
		}
		defer unlock()
	}
	if _, err := h.placeToReturn(j); err != nil {
		return result, h.countNoPlace(err)
	}
	var command domain.Command
	h.cfg.Engine.Read(func(v *projections.View) {
		switch {
		case v.Machines[j.machine] != nil:
			result.Position = v.Position
		case j.returns(v):
			command = domain.ReturnMachine{Name: j.machine, Instance: j.instance}
		default:
			command = j.machineCommand()
		}
	})
	if command == nil {
		return result, nil
	}
	return h.handleAsOf(ctx, j.received, domain.ID{}, command)
}

// placeToReturn returns the join token that limits how many machines exist, if the machine does not exist and returns
// without another use of a token. Such returns are admitted one after another. Otherwise many at the same moment could
// exceed the limit. With several servers, they can exceed it by one for each server.
func (h *Hub) placeToReturn(j joinRequest) (token string, err error) {
	now := h.tokenTime()
	h.cfg.Engine.Read(func(v *projections.View) {
		if v.Machines[j.machine] != nil {
			return
		}
		limiting, full := domain.PlaceToReturn(v.World(), j.instance, j.machine, now)
		if token = limiting; full != nil {
			err = full
		}
	})
	return token, err
}

// checkTokenLimits refuses a machine whose environment or roles the agent's token does not allow, unless this instance
// has been the machine already. A person may have added the machine under this name meanwhile.
func (h *Hub) checkTokenLimits(s domain.TokenSettings, j joinRequest) error {
	environment, roles, _, own := h.placement(j)
	if own {
		return nil
	}
	switch {
	case len(s.Environments) == 0 || slices.Contains(s.Environments, environment):
	case environment == "":
		return problem.Forbidden("machine %s has no environment", j.machine).
			WithHint("start its agent with --environment; the join token allows %v", s.Environments)
	default:
		return problem.Forbidden("the join token does not allow environment %.80q", environment).
			WithHint("it allows %v", s.Environments)
	}
	for _, role := range roles {
		if len(s.Roles) > 0 && !slices.Contains(s.Roles, role) {
			return problem.Forbidden("the join token does not allow role %.80q", role).
				WithHint("it allows %v", s.Roles)
		}
	}
	return nil
}

// useJoinToken joins an agent with its token. It checks everything else first, so that a refused agent does not use
// up the token.
func (h *Hub) useJoinToken(ctx context.Context, j joinRequest, p *proofs) error {
	switch {
	case p.token == nil:
		return h.rejectCredential(j, "unknown join token", "create another one with `drover token create --join`")
	case p.token.Revoked:
		return errRevoked
	}
	if err := h.checkInstance(j, p.owned); err != nil {
		h.cfg.Access.RecordFailure(j.remote)
		return err
	}
	if err := h.checkFolder(j, p.owned); err != nil { // the reason that helps most
		return err
	}
	environment, roles, exists, _ := h.placement(j)
	if !exists {
		if err := h.checkMachine(j, p.token.Settings); err != nil {
			return err
		}
	}
	if err := h.checkName(j, p.token.Settings.Machine == j.machine); err != nil {
		return err
	}
	use := domain.UseToken{ID: p.token.ID, Instance: j.instance, Machine: j.machine, Verifier: j.verifier,
		Environment: environment, Roles: roles, Now: h.tokenTime()}
	switch {
	case j.agent == nil:
		use.Verifier, use.Secret = "", access.Hash(j.secret)
	case p.agentFinal == "" || j.verifier == "":
		return h.rejectCredential(j, "the agent did not prove that it knows its own secret", "restart the agent")
	}
	if _, err := h.handleAsOf(ctx, j.received, domain.ID{}, use); err != nil {
		return h.countNoPlace(err)
	}
	h.cfg.Access.RecordJoin(p.token, j.machine, j.remote)
	p.owned = slices.DeleteFunc(p.owned, func(u access.Use) bool { return u.Token == p.token.ID })
	for _, used := range h.cfg.Access.Uses(j.instance) {
		if used.Token == p.token.ID { // the agent has just proved that it knows this secret
			p.owned = append(p.owned, used)
		}
	}
	return nil
}

// tokenTime returns the time by which tokens expire.
func (h *Hub) tokenTime() time.Time {
	now, _ := h.cfg.Engine.CredibleTime()
	return now
}

// checkMachine returns the rejection of adding the requested machine, or nil if the machine can be added. s are the settings
// of the token that the agent is about to use; if it gives a policy, that of the agent has no effect.
func (h *Hub) checkMachine(j joinRequest, s domain.TokenSettings) (err error) {
	if s.Policy != "" {
		j.policy = ""
	}
	h.cfg.Engine.Read(func(v *projections.View) {
		if _, rejection := j.machineCommand().Decide(v.World()); rejection != nil {
			err = rejection
		}
	})
	return err
}

func (j joinRequest) machineCommand() domain.ApplyMachine {
	return domain.ApplyMachine{
		Name:        j.machine,
		Environment: j.environment,
		Roles:       j.roles,
		Policy:      j.policy,
		Ephemeral:   j.ephemeral,
		Instance:    j.instance,
		Origin:      domain.AgentOrigin(j.instance),
	}
}

// checkName refuses another instance while the machine is online, because the name is in use, and while it is offline
// unless the instance may take its place. bound means that the instance is about to join with a token that permits it.
func (h *Hub) checkName(j joinRequest, bound bool) (err error) {
	connect := h.connectCommand(j)
	h.cfg.Engine.Read(func(v *projections.View) {
		m := v.Machines[j.machine]
		switch {
		case m == nil || m.Instance == j.instance:
		case m.Online:
			err = problem.Conflict("machine %s is online as another instance", j.machine).
				WithHint("give this agent another name, or wait until the other instance " +
					"has been silent for its policy's offlineAfter")
		case !bound:
			if _, rejection := connect.Decide(v.World()); rejection != nil {
				err = rejection
			}
		}
	})
	return err
}

// connectCommand returns the command that brings the machine of an admitted agent online on this server.
func (h *Hub) connectCommand(j joinRequest) domain.ConnectMachine {
	return domain.ConnectMachine{Name: j.machine, Server: h.cfg.Engine.Server(), Session: j.session,
		Instance: j.instance, Admin: j.admin, CannotStop: j.cannotStop, Now: h.tokenTime(),
		Flags: domain.AgentFlags{Environment: j.environment, Roles: j.roles, Ephemeral: j.ephemeral, Policy: j.policy}}
}

// pingTimeout is how long the agent of an existing session may take to answer a ping.
const pingTimeout = 3 * time.Second

// checkClone refuses the newer one of two live sessions of an instance, which means that the machine's disk was
// copied.
func (h *Hub) checkClone(ctx context.Context, j joinRequest) *client.Refused {
	refused := &client.Refused{
		Reason: fmt.Sprintf("an agent with this identity is already connected as machine %s; if its disk was copied, "+
			"give each agent its own --data folder", j.machine),
	}
	if old := h.sessions.get(j.machine); old != nil {
		if old.id != j.session && old.instance == j.instance && old.isAlive(ctx) {
			return refused
		}
		h.sessions.drop(old)
		_ = old.conn.CloseNow()
	}
	elsewhere := false
	h.cfg.Engine.ReadWithAge(func(v *projections.View, age projections.Age) {
		m := v.Machines[j.machine]
		if m == nil || !m.Online || m.Instance != j.instance || m.Session == j.session ||
			h.cfg.Engine.Abandoned(m, age(m.Connected)) {
			return
		}
		elsewhere = m.Server != h.cfg.Engine.Server()
		if server := v.Servers[m.Server]; elsewhere && server != nil {
			refused.Server = server.Facts.Address
		}
		if !elsewhere && h.sessions.isOverHTTP(j.machine, m.Session) {
			elsewhere = h.cfg.Engine.HoldsSession(m.Connect, time.Duration(v.PolicyOf(m).OfflineAfter))
		}
	})
	if !elsewhere {
		return nil
	}
	refused.Reason = fmt.Sprintf("an earlier session of machine %s is still open; "+
		"it ends when it has been silent for its policy's offlineAfter", j.machine)
	return refused
}

// isAlive pings the agent of a session.
func (s *session) isAlive(ctx context.Context) bool {
	ctx, cancel := context.WithTimeout(ctx, pingTimeout)
	defer cancel()
	return s.conn.Ping(ctx) == nil
}

// connect adds the machine if it does not exist, or undoes its clean-up, and brings it online. It returns a warning for
// each flag that differs from the log.
func (h *Hub) connect(ctx context.Context, j joinRequest) (warnings []string, err error) {
	if _, err := h.ensureMachine(ctx, j); err != nil {
		return nil, err
	}
	_, err = h.handleAsOf(ctx, j.received, domain.ID{}, h.connectCommand(j))
	h.cfg.Engine.Read(func(v *projections.View) {
		if m := v.Machines[j.machine]; m != nil {
			warnings = j.flagWarnings(&m.Machine)
		}
	})
	return warnings, err
}

// flagWarnings returns a warning for each flag of the agent that differs from the machine in the log. The log takes
// precedence.
func (j joinRequest) flagWarnings(m *domain.Machine) (warnings []string) {
	if j.environment != "" && j.environment != m.Environment {
		warnings = append(warnings, fmt.Sprintf(
			"--environment %.80s is ignored: machine %s has been in %s since its first join; apply a Machine to move it",
			j.environment, j.machine, m.Environment))
	}
	if flags := domain.SortedUnique(j.roles); len(flags) > 0 && !slices.Equal(flags, m.Roles) {
		warnings = append(warnings, fmt.Sprintf(
			"--role %.200v is ignored: machine %s has had the roles %v since its first join; apply a Machine to change them",
			flags, j.machine, m.Roles))
	}
	if j.ephemeral && !m.Ephemeral {
		warnings = append(warnings, fmt.Sprintf("--ephemeral is ignored: machine %s joined without it, so its agent cannot "+
			"delete it; apply a Machine with ephemeral: true to change that", j.machine))
	}
	if j.policy != "" && j.policy != m.Policy {
		owner := ""
		if m.PolicyFrom == domain.PolicyByToken {
			owner = " of its join token"
		}
		warnings = append(warnings, fmt.Sprintf("--policy %.80s is ignored: machine %s has policy %s%s; apply a Machine to "+
			"change it", j.policy, j.machine, m.Policy, owner))
	}
	return warnings
}

// welcome accepts the session with a welcome, which contains the proofs. From then on, the agent receives changes.
func (h *Hub) welcome(s *session, w client.Welcome) {
	n := h.stateOf(s.machine)
	s.log = n.log
	w.Log, w.Made, w.Server = n.log.String(), h.cfg.Engine.OriginalID().String(), h.cfg.Engine.Server().String()
	w.Settings, w.LogProof = n.settings, h.signLog(n.log, h.cfg.Engine.OriginalID())
	if err := h.cfg.Engine.LostEvents(); err != nil {
		w.LostEvents = true
		w.Warnings = append(w.Warnings, err.Error()+"; "+problem.LostEventsHint)
	}
	if s.doubted = n.doubted; n.doubted {
		w.LostEvents = true // so that the agent keeps its memory
		w.Warnings = append(w.Warnings, "the log does not have what this agent remembers, so nothing is deployed to this machine"+
			"; `drover describe machine "+s.machine+"` tells what is missing")
	}
	h.cfg.Engine.Read(func(v *projections.View) { w.Unfinished, s.welcomed = unfinishedOf(v, s.machine), v.Position })
	s.settings = n.settings
	s.lastMessage = h.cfg.Clock.Elapsed()
	if n.machine != nil {
		s.setConnect(n.machine.Connect)
	}
	h.logOf(s.machine).Info("agent connected", zap.String("machine", s.machine), zap.Stringer("session", s.id),
		zap.Int("unfinished", len(w.Unfinished)))
	s.send(client.ToAgent{Welcome: &w})
	s.register()
}

// register adds the session to the open ones and sends pending changes.
func (s *session) register() {
	s.hub.sessions.add(s)
	if s.hub.gate.IsClosed() {
		s.end(websocket.StatusGoingAway, "the server is shutting down")
	}
	s.mu.Lock()
	s.pushing = false
	s.mu.Unlock()
	s.notify()
}
