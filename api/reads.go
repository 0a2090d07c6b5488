package api

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"github.com/droverhq/drover/doctor"
	"github.com/droverhq/drover/domain"
	"github.com/droverhq/drover/explain"
	"github.com/droverhq/drover/query"
)

// routeReads registers the reads that are neither lists nor single items.
func (a *API) routeReads() {
	q := a.cfg.Queries
	getFiltered(a, "/why", "Explain why a machine has, gets or does not get the wanted release of a project",
		func(in *whyInput) string { return in.After.After },
		func(ctx context.Context, in *whyInput) (query.WhyAnswers, error) {
			return q.Why(ctx, query.WhyInput{Machine: in.Machine, Project: in.Project, At: in.At,
				Sees: seesOf(ctx)})
		})
	get(a, "/may", "Return who may do something, or whether somebody may, and because of what",
		func(in *mayInput) string { return in.After.After },
		func(ctx context.Context, in *mayInput) (query.MayAnswers, error) {
			return q.May(ctx, query.MayInput{Can: in.Can, Project: in.Project, Environment: in.Environment, Who: in.Who,
				At: in.At})
		})
	getFiltered(a, "/status", "Summarize the fleet: releases, rollouts and what needs attention",
		func(in *statusInput) string { return in.After.After },
		func(ctx context.Context, in *statusInput) (explain.Status, error) {
			return q.Status(ctx, explain.Filter{Project: in.Project, Environment: in.Environment, Sees: seesOf(ctx)})
		})
	getFiltered(a, "/variables", "Return the variables and secrets that a machine gets, and where each comes from",
		func(in *variablesInput) string { return in.After.After },
		func(ctx context.Context, in *variablesInput) (explain.Variables, error) {
			return q.Variables(query.VariablesInput{Project: in.Project, Environment: in.Environment, Machine: in.Machine,
				Roles: in.Roles, Release: in.Release, Sees: seesOf(ctx)})
		})
	getFiltered(a, "/due", "Preview what the next tick would deploy", func(in *dueInput) string { return in.After.After },
		func(ctx context.Context, in *dueInput) (query.DueList, error) {
			return q.Due(seesOf(ctx), in.Project, in.Trigger)
		})
	get(a, "/doctor", "Check this server, its log and the fleet for problems",
		func(in *doctorInput) string { return in.After.After },
		func(ctx context.Context, in *doctorInput) (doctor.Checkup, error) {
			found := q.Doctor(ctx, callerOf(ctx).Principal.Allows(domain.LogVerb.Everywhere()))
			found.Transport = a.transportOf(ctx, in.secured)
			return found, nil
		})
	const file = "Return one resource as a file for apply"
	register(a, filtered(route(http.MethodGet, "/resources/{kind}/{name}", file, domain.ReadVerb)), a.getResource)
	register(a, filtered(costlyRead("/resources/{kind}/{name}", file)),
		func(ctx context.Context, in *pastResourceInput) (*textAnswer, error) {
			return a.resourceFile(ctx, &in.ResourceInput, in.At)
		})
}

type whyInput struct {
	After
	Machine string `query:"machine" required:"true"`
	Project string `query:"project" doc:"Default: all projects that include the machine."`
	At      string `query:"at" doc:"Explain the state at this position or RFC 3339 time."`
}

type statusInput struct {
	After
	Project     string `query:"project" doc:"Default: all projects."`
	Environment string `query:"environment" doc:"Default: all environments."`
}

type variablesInput struct {
	After
	Project     string   `query:"project" required:"true"`
	Environment string   `query:"environment" doc:"Required unless machine is set."`
	Machine     string   `query:"machine" doc:"Use the environment and the roles of this machine."`
	Roles       []string `query:"role" doc:"Roles of a machine, separated by commas."`
	Release     string   `query:"release" doc:"Default: a release that would be created now."`
}

type mayInput struct {
	After
	Can         domain.Verb `query:"can" required:"true" doc:"A verb, such as deploy."`
	Project     string      `query:"project" doc:"Default: any project."`
	Environment string      `query:"environment" doc:"Default: any environment."`
	Who         string      `query:"who" doc:"A token or a person by id or name, or a group. Default: list the tokens that may."`
	At          string      `query:"at" doc:"Answer for this position or RFC 3339 time."`
}

type doctorInput struct {
	After
	secured bool // the request came over TLS
}

// Resolve records how the request came.
func (in *doctorInput) Resolve(ctx huma.Context) []error {
	in.secured = ctx.TLS() != nil
	return nil
}

type dueInput struct {
	After
	Project string `query:"project" doc:"Assume that this project is enabled."`
	Trigger string `query:"trigger" doc:"Assume that this trigger of the project is enabled."`
}

// ResourceInput is the input of a read of a resource as a file.
type ResourceInput struct {
	After
	Kind    string `path:"kind"`
	Name    string `path:"name"`
	Project string `query:"project" doc:"The project of a trigger."`
}

type pastResourceInput struct {
	At string `path:"at" doc:"A position or an RFC 3339 time."`
	ResourceInput
}

type textAnswer struct {
	Position    string `header:"Drover-Position"`
	ContentType string `header:"Content-Type"`
	Body        []byte
}

func (a *API) getResource(ctx context.Context, in *ResourceInput) (*textAnswer, error) {
	return a.resourceFile(ctx, in, "")
}

// resourceFile returns a resource as a file, as it is now or was at a position or time.
func (a *API) resourceFile(ctx context.Context, in *ResourceInput, at string) (*textAnswer, error) {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	if err := a.cfg.Queries.WaitForPosition(ctx, in.After.After); err != nil {
		return nil, err
	}
	text, err := a.cfg.Queries.ResourceFile(ctx, in.Kind,
		query.Item{Project: in.Project, Name: in.Name, At: at, Sees: seesOf(ctx)})
	return &textAnswer{Position: a.position(), ContentType: "application/yaml", Body: text}, err
}
