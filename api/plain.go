package api

import (
	"context"
	"fmt"
	"net/http"
	"regexp"
	"strings"

	"github.com/danielgtaylor/huma/v2"
	"github.com/google/uuid"

	"github.com/droverhq/drover/api/client"
	"github.com/droverhq/drover/domain"
	"github.com/droverhq/drover/eventlog"
	"github.com/droverhq/drover/internal/ids"
	"github.com/droverhq/drover/projections"
)

// claim asks to start a part. It counts only if the fold, read back from the log, says that this session runs it.
// An error other than a rejection means that nobody knows yet: ask again. Two agents by plain HTTP that share an identity
// share its session too; with an id of its own for each claim, only the claim that is in the log counts, however often
// it is repeated.
func (a *API) claim(ctx context.Context, id domain.ID, c domain.ClaimPart) (client.Claimed, error) {
	written, err := a.handle(ctx, id, c)
	own := id.IsZero() || err == nil && (written.Repeat || len(written.Events) > 0)
	claimed := client.Claimed{Deployment: c.Deployment.String()}
	a.cfg.Engine.Read(func(v *projections.View) {
		d := v.Deployments[c.Deployment]
		if d == nil || d.Parts[c.Machine] == nil {
			return
		}
		part := d.Parts[c.Machine]
		claimed.Counts = part.State == domain.PartRunning && part.Session == c.Session
		switch {
		case claimed.Counts && !own:
			claimed.Counts, claimed.Reason = false, string(domain.AlreadyClaimed)
		case !claimed.Counts:
			claimed.Reason = string(v.Gate(part, c.Session))
		}
	})
	if claimed.Counts {
		return claimed, nil
	}
	if err == nil { // it is in the log, and void: something came between
		return claimed, nil
	}
	p := problemOf(err)
	if p.Kind != client.Conflict && p.Kind != client.NotFound {
		return claimed, err
	}
	if claimed.Reason == "" {
		claimed.Reason = p.Detail
	}
	return claimed, nil
}

// end records how a part ended, once, and names the event.
func (a *API) end(ctx context.Context, c domain.EndPart) (client.Ended, error) {
	ended := client.Ended{Deployment: c.Deployment.String()}
	_, refused := a.handle(ctx, domain.ID{}, c)
	if refused != nil && problemOf(refused).Kind != client.NotFound {
		return client.Ended{}, refused
	}
	a.output.wake(c.Deployment)
	a.counts.forget(countKey{c.Deployment, c.Machine})
	for rec, err := range a.cfg.Log.ReadStream(ctx, c.Stream(), 0, 0) {
		if err != nil {
			return ended, fmt.Errorf("read the end of %s: %w", c.Stream(), err)
		}
		fact, _ := domain.Decode(rec.Type, rec.Data)
		if e, ok := fact.(domain.PartEnded); ok && e.ByAgent() {
			ended.Event = rec.ID.String()
		}
	}
	if refused != nil && ended.Event == "" {
		return client.Ended{}, refused
	}
	return ended, nil // a part that is forgotten has its result all the same: an agent must not remember another
}

// knownReason is what a reason of an agent must look like to be kept.
var knownReason = regexp.MustCompile(`^[a-z][a-z-]{0,39}$`)

// endOf is an agent's word as a command, within bounds.
func endOf(e client.End, id domain.ID, machine string, session, instance domain.ID) domain.EndPart {
	c := domain.EndPart{Deployment: id, Machine: machine, Session: session, Instance: instance, State: e.State,
		Reason: e.Reason, Step: bounded(e.Step), ExitCode: e.ExitCode, Detail: bounded(e.Detail)}
	if e.Reason != "" && !knownReason.MatchString(string(e.Reason)) {
		c.Reason = domain.OtherAgentFailure
	}
	return c
}

// bounded is text that an agent sent, valid and of at most domain.MaxReasonBytes.
func bounded(text string) string {
	text = strings.ToValidUTF8(text, "\uFFFD")
	if len(text) > domain.MaxReasonBytes {
		text = strings.ToValidUTF8(text[:domain.MaxReasonBytes], "")
	}
	return strings.ReplaceAll(text, "\x00", "")
}

// takeOutput keeps a piece of output of a part that this instance claimed.
func (a *API) takeOutput(ctx context.Context, id domain.ID, machine string, instance domain.ID, sequence int64, data []byte) error {
	claimed := false
	a.cfg.Engine.Read(func(v *projections.View) {
		part := v.World().Part(id, machine)
		claimed = part != nil && part.Claimed && part.Instance == instance
	})
	switch {
	case !claimed:
		return problem(client.Conflict, fmt.Sprintf("machine %s has not claimed a part of deployment %s", machine, id), "claim it first")
	case sequence < 1 || sequence > maxSequence:
		return invalid("sequence is %d", sequence).hint(fmt.Sprintf("count the pieces of a part from 1, at most %d", maxSequence))
	case len(data) > eventlog.MaxChunkBytes:
		return invalid("the piece of output is %d bytes", len(data)).hint(fmt.Sprintf("send at most %d at once", eventlog.MaxChunkBytes))
	case len(data) == 0:
		return nil
	}
	room, err := a.room(ctx, countKey{id, machine}, sequence, len(data))
	if err == nil && !room {
		err = invalid("machine %s has put out more than %d bytes for deployment %s", machine, maxPartBytes, id).
			hint("keep the beginning and the end of it, and cut the middle").status(http.StatusRequestEntityTooLarge)
	}
	if err != nil {
		return err
	}
	err = a.cfg.Log.AppendOutput(ctx, uuid.UUID(id), machine, eventlog.Chunk{Sequence: sequence, Time: a.cfg.Clock.Now().UTC(), Data: data})
	if err != nil {
		return fmt.Errorf("keep output of machine %s: %w", machine, err)
	}
	a.output.wake(id)
	return nil
}

type machineInput struct {
	Key
	Body MachineBody
}

type reportInput struct {
	Name string `path:"name"`
	Body struct {
		Status   string `json:"status" enum:"online,offline,healthy,warning,unhealthy"`
		Instance string `json:"instance,omitempty" doc:"Needed with an admin token; else the agent's own."`
		Session  string `json:"session,omitempty" doc:"As the answer to online gave it."`
		Detail   string `json:"detail,omitempty"`
	}
}

// Reported answers a report.
type Reported struct {
	Session        string          `json:"session"`
	Position       string          `json:"position"`
	HeartbeatEvery domain.Duration `json:"heartbeatEvery"`
}

// WorkAnswer is what there is to do.
type WorkAnswer struct {
	Work *client.Work `json:"work" doc:"null: nothing now."`
}

type claimInput struct {
	ID   string `path:"id"`
	Name string `path:"name"`
	Key  string `header:"Idempotency-Key" doc:"A UUID; a repeated claim counts only under the key of the first. Without one, all claims of the session count."`
	Body struct {
		Session string `json:"session"`
	}
}

type outputOfInput struct {
	ID   string `path:"id"`
	Name string `path:"name"`
	Body struct {
		Session  string `json:"session"`
		Sequence int64  `json:"sequence"`
		Data     []byte `json:"data"`
	}
}

type endInput struct {
	ID   string `path:"id"`
	Name string `path:"name"`
	Body struct {
		Session  string            `json:"session"`
		State    domain.PartState  `json:"state" enum:"succeeded,failed"`
		Reason   domain.PartReason `json:"reason,omitempty"`
		Step     string            `json:"step,omitempty"`
		ExitCode int               `json:"exitCode,omitempty"`
		Detail   string            `json:"detail,omitempty"`
	}
}

// routePlain registers what any program needs to be an agent.
func (a *API) routePlain() {
	huma.Register(a.router, forJoins(route(http.MethodPost, "/machines", "Add a machine; with a join token, join as one", domain.AdminScope)), a.postMachine)
	huma.Register(a.router, forAgents(route(http.MethodPost, "/machines/{name}/reports", "What a machine's agent says of it", domain.AdminScope)), a.postReport)
	huma.Register(a.router, forAgents(route(http.MethodGet, "/machines/{name}/work", "The part that the machine should claim now", domain.AdminScope)), a.getWork)
	huma.Register(a.router, forAgents(route(http.MethodPost, "/deployments/{id}/machines/{name}/claim", "Claim a part; start only if it counts", domain.AdminScope)), a.postClaim)
	huma.Register(a.router, forAgents(route(http.MethodPost, "/deployments/{id}/machines/{name}/output", "Keep a piece of a part's output", domain.AdminScope)), a.postOutput)
	huma.Register(a.router, forAgents(route(http.MethodPost, "/deployments/{id}/machines/{name}/end", "Report how a part ended; safe to repeat", domain.AdminScope)), a.postEnd)
}

func (a *API) postMachine(ctx context.Context, in *machineInput) (*answer[client.Written], error) {
	id, p := commandID(in.Key.Key)
	if p != nil {
		return nil, p
	}
	var written client.Written
	var err error
	switch c := callerOf(ctx); {
	case c.join != "":
		written, err = a.joinPlain(ctx, c, in.Body)
	case c.machine != "":
		written, err = a.comeBackPlain(ctx, c, in.Body)
	default:
		if p := c.may(domain.AdminScope); p != nil {
			return nil, p
		}
		written, err = a.addMachine(ctx, id, in.Body)
	}
	if err != nil {
		return nil, problemOf(err)
	}
	return &answer[client.Written]{Position: written.Position, Body: written}, nil
}

// joinPlain is the first join of an agent by plain HTTP. Joining again as the same instance is the same join.
func (a *API) joinPlain(ctx context.Context, c caller, b MachineBody) (client.Written, error) {
	j := joiner{machine: b.Name, secret: b.Secret, environment: b.Environment, roles: b.Roles}
	var err error
	if j.instance, err = domain.ParseID(b.Instance); err == nil {
		err = j.check()
	}
	if err != nil {
		return client.Written{}, invalid("%s", err.Error()).hint("an agent joins with an instance, a UUID, and a secret of its own")
	}
	lock := a.hub.admission(j.machine)
	lock.Lock()
	defer lock.Unlock()
	if err = a.cfg.Engine.CatchUp(ctx); err == nil { // another server may have let its like in a moment ago
		err = a.mine(j)
	}
	environment, roles, exists := a.as(j)
	if err == nil && !exists {
		err = a.canAdd(j)
	}
	if err == nil {
		err = a.free(j)
	}
	if err != nil {
		return client.Written{}, err
	}
	written, err := a.handle(ctx, domain.ID{}, domain.UseToken{ID: c.join, Instance: j.instance, Machine: j.machine, Secret: hashOf(j.secret),
		Environment: environment, Roles: roles, Now: a.cfg.Clock.Now()})
	if err != nil || exists {
		return written, err
	}
	return a.handle(ctx, domain.ID{}, j.machineCommand())
}

// comeBackPlain adds the machine of an agent that has joined before and whose machine was deleted since, as a
// connection of its own would. Where the machine is there nothing changes.
func (a *API) comeBackPlain(ctx context.Context, c caller, b MachineBody) (client.Written, error) {
	if p := c.isAgentOf(b.Name); p != nil {
		return client.Written{}, p
	}
	j := joiner{machine: c.machine, instance: c.instance, environment: b.Environment, roles: b.Roles}
	lock := a.hub.admission(j.machine)
	lock.Lock()
	defer lock.Unlock()
	if err := a.mayBecome(c.joined, j); err != nil {
		return client.Written{}, err
	}
	if _, _, exists := a.as(j); exists {
		return client.Written{Position: a.cfg.Engine.Position().String(), Events: []string{}}, nil
	}
	return a.handle(ctx, domain.ID{}, j.machineCommand())
}

// speaker is an agent by plain HTTP, checked against what the log says of its machine.
type speaker struct {
	machine  domain.Machine
	instance domain.ID
	settings client.Settings
}

// speaker finds the machine that a caller may speak for.
func (a *API) speaker(ctx context.Context, name, instance string) (speaker, error) {
	c := callerOf(ctx)
	if p := c.isAgentOf(name); p != nil {
		return speaker{}, p
	}
	s := speaker{instance: c.instance}
	if instance != "" {
		id, err := domain.ParseID(instance)
		if err != nil {
			return s, invalid("instance: %s", err.Error())
		}
		if c.machine != "" && id != c.instance {
			return s, problem(client.Forbidden, "the instance is not the one that this secret belongs to", "leave it out")
		}
		s.instance = id
	}
	n := a.newsOf(name)
	if n.machine == nil {
		return s, missing("machine %.80q does not exist", name).hint("POST /api/v1/machines first, with a join token or the agent's own secret")
	}
	s.machine, s.settings = *n.machine, n.settings
	if s.instance.IsZero() {
		s.instance = n.machine.Instance
	}
	return s, nil
}

// inSession checks that a speaker's session is the newest of its machine; the request counts as a heartbeat.
func (a *API) inSession(ctx context.Context, name, session string) (speaker, error) {
	s, err := a.speaker(ctx, name, "")
	if err != nil {
		return s, err
	}
	m := s.machine
	if !m.Online || m.Instance != s.instance || session != "" && session != m.Session.String() {
		return s, problem(client.Conflict, fmt.Sprintf("machine %s is not online in this session", name), "report online first, and send the session of the answer")
	}
	return s, a.beat(ctx, m)
}

// beat notes that the agent of a machine was heard. A session that another server held moves here.
func (a *API) beat(ctx context.Context, m domain.Machine) error {
	if m.Server != a.cfg.Engine.Server() {
		if _, err := a.handle(ctx, domain.ID{}, domain.ConnectMachine{Name: m.Name, Server: a.cfg.Engine.Server(), Session: m.Session, Instance: m.Instance}); err != nil {
			return err
		}
		a.hub.setPlain(m.Name, m.Session)
		if n := a.newsOf(m.Name); n.machine != nil {
			m = *n.machine
		}
	}
	a.cfg.Engine.Heard(m.Name, m.Connect)
	return nil
}

func (a *API) postReport(ctx context.Context, in *reportInput) (*answer[Reported], error) {
	ctx, cancel := context.WithTimeout(ctx, answerWithin)
	defer cancel()
	s, err := a.speaker(ctx, in.Name, in.Body.Instance)
	if err != nil {
		return nil, problemOf(err)
	}
	var session domain.ID
	if in.Body.Session != "" {
		if session, err = domain.ParseID(in.Body.Session); err != nil {
			return nil, invalid("session: %s", err.Error())
		}
	}
	var written client.Written
	switch in.Body.Status {
	case "online":
		session, written, err = a.comeOnline(ctx, s, session)
	case "offline":
		session = s.machine.Session
		written, err = a.goOffline(ctx, s, in.Body.Session)
	default:
		if _, err = a.inSession(ctx, in.Name, in.Body.Session); err == nil {
			session = s.machine.Session
			written, err = a.handle(ctx, domain.ID{}, domain.ReportHealth{Name: in.Name, Session: session,
				Status: domain.Health(in.Body.Status), Detail: bounded(in.Body.Detail)})
		}
	}
	if err != nil {
		return nil, problemOf(err)
	}
	return &answer[Reported]{Position: written.Position, Body: Reported{Session: session.String(), Position: written.Position,
		HeartbeatEvery: s.settings.HeartbeatEvery}}, nil
}

// comeOnline begins a session by plain HTTP, or finds the one that is there.
func (a *API) comeOnline(ctx context.Context, s speaker, session domain.ID) (domain.ID, client.Written, error) {
	if s.instance.IsZero() {
		return session, client.Written{}, invalid("the report names no instance").hint("send a UUID that the machine keeps")
	}
	lock := a.hub.admission(s.machine.Name)
	lock.Lock()
	defer lock.Unlock()
	if session.IsZero() {
		session = ids.New()
		if s.machine.Online && s.machine.Instance == s.instance && a.hub.isPlain(s.machine.Name, s.machine.Session) {
			session = s.machine.Session
		}
	}
	j := joiner{machine: s.machine.Name, instance: s.instance, session: session}
	if err := a.free(j); err != nil {
		return session, client.Written{}, err
	}
	if refused := a.clone(ctx, j); refused != nil {
		return session, client.Written{}, problem(client.Conflict, refused.Reason, "send the session that the first answer gave")
	}
	written, err := a.handle(ctx, domain.ID{}, domain.ConnectMachine{Name: s.machine.Name, Server: a.cfg.Engine.Server(), Session: session, Instance: s.instance})
	if err != nil {
		return session, written, err
	}
	a.hub.setPlain(s.machine.Name, session)
	if n := a.newsOf(s.machine.Name); n.machine != nil {
		a.cfg.Engine.Heard(n.machine.Name, n.machine.Connect)
	}
	return session, written, nil
}

// goOffline ends the newest session of the speaker; one that was replaced has nothing to end.
func (a *API) goOffline(ctx context.Context, s speaker, session string) (client.Written, error) {
	if s.machine.Instance != s.instance || session != "" && session != s.machine.Session.String() {
		return client.Written{}, problem(client.Conflict, fmt.Sprintf("this is not the newest session of machine %s", s.machine.Name), "there is nothing to end")
	}
	return a.handle(ctx, domain.ID{}, domain.DisconnectMachine{Name: s.machine.Name, Connect: s.machine.Connect, Reason: "reported"})
}

func (a *API) getWork(ctx context.Context, in *Named) (*answer[WorkAnswer], error) {
	ctx, cancel := context.WithTimeout(ctx, answerWithin)
	defer cancel()
	if p := a.see(ctx, in.After.After); p != nil {
		return nil, p
	}
	if _, err := a.inSession(ctx, in.Name, ""); err != nil {
		return nil, problemOf(err)
	}
	n := a.newsOf(in.Name)
	return &answer[WorkAnswer]{Position: a.cfg.Engine.Position().String(), Body: WorkAnswer{Work: n.work}}, nil
}

// partOf reads which part a request is about, and who speaks.
func (a *API) partOf(ctx context.Context, id, name, session string) (domain.ID, speaker, error) {
	deployment, err := domain.ParseID(id)
	if err != nil {
		return deployment, speaker{}, missing("deployment %.80q does not exist", id)
	}
	s, err := a.inSession(ctx, name, session)
	return deployment, s, err
}

func (a *API) postClaim(ctx context.Context, in *claimInput) (*answer[client.Claimed], error) {
	ctx, cancel := context.WithTimeout(ctx, answerWithin)
	defer cancel()
	var key domain.ID // zero: none
	if in.Key != "" {
		var p *Problem
		if key, p = commandID(in.Key); p != nil {
			return nil, p
		}
	}
	id, s, err := a.partOf(ctx, in.ID, in.Name, in.Body.Session)
	if err != nil {
		return nil, problemOf(err)
	}
	claimed, err := a.claim(ctx, key, domain.ClaimPart{Deployment: id, Machine: in.Name, Session: s.machine.Session, Instance: s.instance})
	if err != nil {
		return nil, problemOf(err)
	}
	return &answer[client.Claimed]{Position: a.cfg.Engine.Position().String(), Body: claimed}, nil
}

func (a *API) postOutput(ctx context.Context, in *outputOfInput) (*answer[empty], error) {
	ctx, cancel := context.WithTimeout(ctx, answerWithin)
	defer cancel()
	id, s, err := a.partOf(ctx, in.ID, in.Name, in.Body.Session)
	if err == nil {
		err = a.takeOutput(ctx, id, in.Name, s.instance, in.Body.Sequence, in.Body.Data)
	}
	if err != nil {
		return nil, problemOf(err)
	}
	return &answer[empty]{Position: a.cfg.Engine.Position().String()}, nil
}

// postEnd takes a result in any session of the instance that claimed: it must not be lost.
func (a *API) postEnd(ctx context.Context, in *endInput) (*answer[client.Ended], error) {
	ctx, cancel := context.WithTimeout(ctx, answerWithin)
	defer cancel()
	id, err := domain.ParseID(in.ID)
	if err != nil {
		return nil, missing("deployment %.80q does not exist", in.ID)
	}
	s, err := a.speaker(ctx, in.Name, "")
	if err != nil {
		return nil, problemOf(err)
	}
	session, err := domain.ParseID(in.Body.Session)
	if err != nil {
		return nil, invalid("session: %s", err.Error())
	}
	if m := s.machine; m.Online && m.Instance == s.instance {
		_ = a.beat(ctx, m) // the result counts even if the heartbeat does not
	}
	b := in.Body
	said := client.End{State: b.State, Reason: b.Reason, Step: b.Step, ExitCode: b.ExitCode, Detail: b.Detail}
	ended, err := a.end(ctx, endOf(said, id, in.Name, session, s.instance))
	if err != nil {
		return nil, problemOf(err)
	}
	return &answer[client.Ended]{Position: a.cfg.Engine.Position().String(), Body: ended}, nil
}
