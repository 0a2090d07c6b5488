package api

import (
	"context"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/droverhq/drover/agents"
	"github.com/droverhq/drover/api/client"
	"github.com/droverhq/drover/domain"
)

type machineInput struct {
	Key
	Body MachineBody
}

type reportInput struct {
	Name string `path:"name"`
	Body struct {
		Status     string             `json:"status" enum:"online,offline,healthy,warning,unhealthy"`
		Instance   string             `json:"instance,omitempty" doc:"Required with an admin token. Default: the agent's own instance."`
		Session    string             `json:"session,omitempty" doc:"The session that the report of online returned."`
		Detail     string             `json:"detail,omitempty"`
		Remembered *client.Remembered `json:"remembered,omitempty" doc:"What the agent remembers about its successes; only with online."`
		Conditions []StatedCondition  `json:"conditions,omitempty" doc:"The problems of the machine, only with status online. The kinds data-folder-missing, disk-full and journal-not-writable keep it from starting parts; leftovers does not. Each report of online states all of them."`
		Clock      *time.Time         `json:"clock,omitempty" doc:"What the clock of the machine shows, with status online. Servers compare their clocks with it."`
	}
}

// StatedCondition is a problem that a program over plain HTTP states about its machine.
type StatedCondition struct {
	Kind   domain.ConditionKind `json:"kind"`
	Detail string               `json:"detail,omitempty"`
}

// Reported is the response to a report.
type Reported struct {
	Session        string          `json:"session"`
	Position       string          `json:"position"`
	HeartbeatEvery domain.Duration `json:"heartbeatEvery"`
	Kill           []client.Kill   `json:"kill,omitempty" doc:"The parts that the agent should stop; only with online."`
}

// WorkAnswer is the response to a request for work.
type WorkAnswer struct {
	Work *client.Work  `json:"work" doc:"null if there is no work."`
	Kill []client.Kill `json:"kill,omitempty" doc:"The parts that the agent should stop."`
}

type claimInput struct {
	ID   string `path:"id"`
	Name string `path:"name"`
	Key  string `header:"Idempotency-Key" doc:"A UUID. A repeated claim counts only with the first claim's key. Without a key, all claims of the session count."`
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
		Project  string            `json:"project,omitempty" doc:"The project of the part. If the log has lost the deployment, the machine is held for it."`
		Release  string            `json:"release,omitempty"`
	}
}

// routeHTTPAgents registers the routes with which any program can be an agent.
func (a *API) routeHTTPAgents() {
	const part = "/deployments/{id}/machines/{name}"
	join := route(http.MethodPost, "/machines", "Add a machine, or join with a join token", domain.MachinesVerb)
	register(a, allowJoin(join), a.postMachine)
	register(a, agentRoute(http.MethodPost, "/machines/{name}/reports", "Report the status of a machine"), a.postReport)
	register(a, agentRoute(http.MethodGet, "/machines/{name}/work", "Get the part that a machine should claim"), a.getWork)
	register(a, agentRoute(http.MethodPost, part+"/claim", "Claim a part; start it only if the claim counts"), a.postClaim)
	register(a, agentRoute(http.MethodPost, part+"/output", "Store a chunk of a part's output"), a.postOutput)
	register(a, agentRoute(http.MethodPost, part+"/end", "Report how a part ended; safe to repeat"), a.postEnd)
}

// agentRoute describes an operation for admins and for the agent of the machine in the path.
func agentRoute(method, path, summary string) huma.Operation {
	return allowAgent(route(method, path, summary, domain.AgentVerb))
}

func (a *API) postMachine(ctx context.Context, in *machineInput) (*answer[client.Written], error) {
	id, err := commandID(in.Key.Key)
	if err != nil {
		return nil, err
	}
	c, b := callerOf(ctx), in.Body
	if c.Join != "" || c.Machine != "" {
		result, err := a.cfg.Agents.Join(ctx, c, agents.JoinInput{Machine: b.Name, Environment: b.Environment,
			Roles: b.Roles, Ephemeral: b.Ephemeral, Policy: b.Policy, Instance: b.Instance, Secret: b.Secret})
		return writtenAnswer(result), err
	}
	command, err := b.addMachine(c.Origin)
	if err != nil {
		return nil, err
	}
	result, err := a.handle(ctx, id, command)
	return writtenAnswer(result), err
}

func (a *API) postReport(ctx context.Context, in *reportInput) (*answer[Reported], error) {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	b := in.Body
	report := agents.ReportInput{Machine: in.Name, Status: b.Status, Instance: b.Instance, Session: b.Session,
		Detail: b.Detail, Remembered: b.Remembered}
	for _, c := range b.Conditions {
		report.Conditions = append(report.Conditions, domain.Condition(c))
	}
	if b.Clock != nil {
		report.Clock = *b.Clock
	}
	r, err := a.cfg.Agents.Report(ctx, callerOf(ctx), report)
	position := r.Position.String()
	return &answer[Reported]{Position: position, Body: Reported{Session: r.Session.String(), Position: position,
		HeartbeatEvery: r.HeartbeatEvery, Kill: r.Kills}}, err
}

func (a *API) getWork(ctx context.Context, in *Named) (*answer[WorkAnswer], error) {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	if err := a.cfg.Queries.WaitForPosition(ctx, in.After.After); err != nil {
		return nil, err
	}
	work, kills, err := a.cfg.Agents.Work(ctx, callerOf(ctx), in.Name)
	return &answer[WorkAnswer]{Position: a.position(), Body: WorkAnswer{Work: work, Kill: kills}}, err
}

func (a *API) postClaim(ctx context.Context, in *claimInput) (*answer[client.Claimed], error) {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	var key domain.ID // zero: none
	if in.Key != "" {
		var err error
		if key, err = commandID(in.Key); err != nil {
			return nil, err
		}
	}
	claimed, err := a.cfg.Agents.Claim(ctx, callerOf(ctx), key,
		agents.PartInput{Deployment: in.ID, Machine: in.Name, Session: in.Body.Session})
	return &answer[client.Claimed]{Position: a.position(), Body: claimed}, err
}

func (a *API) postOutput(ctx context.Context, in *outputOfInput) (*answer[empty], error) {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	part := agents.PartInput{Deployment: in.ID, Machine: in.Name, Session: in.Body.Session}
	err := a.cfg.Agents.StoreOutput(ctx, callerOf(ctx), part, in.Body.Sequence, in.Body.Data)
	return &answer[empty]{Position: a.position()}, err
}

func (a *API) postEnd(ctx context.Context, in *endInput) (*answer[client.Ended], error) {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	b := in.Body
	part := agents.PartInput{Deployment: in.ID, Machine: in.Name, Session: b.Session,
		Ran: client.RanPart{Project: b.Project, Release: b.Release}}
	reported := client.End{State: b.State, Reason: b.Reason, Step: b.Step, ExitCode: b.ExitCode, Detail: b.Detail}
	ended, err := a.cfg.Agents.End(ctx, callerOf(ctx), part, reported)
	return &answer[client.Ended]{Position: a.position(), Body: ended}, err
}
