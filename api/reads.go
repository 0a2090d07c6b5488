package api

import (
	"context"
	"net/http"

	"github.com/droverhq/drover/doctor"
	"github.com/droverhq/drover/domain"
	"github.com/droverhq/drover/query"
)

// routeReads registers the reads that are neither lists nor things of one.
func (a *API) routeReads() {
	q := a.cfg.Queries
	get(a, "/why", "Why a machine has, gets or does not get what a project wants",
		func(in *whyInput) string { return in.After.After },
		func(ctx context.Context, in *whyInput) (query.WhyAnswers, error) {
			return q.Why(ctx, query.WhyInput{Machine: in.Machine, Project: in.Project, At: in.At})
		})
	get(a, "/due", "What the next tick would deploy", func(in *dueInput) string { return in.After.After },
		func(_ context.Context, in *dueInput) (query.DueList, error) { return q.Due(in.Project, in.Trigger) })
	get(a, "/doctor", "What this server finds about itself, its log and the fleet",
		func(in *After) string { return in.After },
		func(ctx context.Context, _ *After) (doctor.Checkup, error) {
			return q.Doctor(ctx, callerOf(ctx).Scope.Allows(domain.AdminScope)), nil
		})
	register(a, route(http.MethodGet, "/resources/{kind}/{name}", "One thing as the file that makes it",
		domain.ReadScope), a.getResource)
}

type whyInput struct {
	After
	Machine string `query:"machine" required:"true"`
	Project string `query:"project" doc:"Default: every project that looks at the machine."`
	At      string `query:"at" doc:"A position or an RFC 3339 time: as it was then."`
}

type dueInput struct {
	After
	Project string `query:"project" doc:"As if this project were enabled."`
	Trigger string `query:"trigger" doc:"As if this trigger of the project were enabled."`
}

type resourceInput struct {
	After
	Kind    string `path:"kind"`
	Name    string `path:"name"`
	Project string `query:"project" doc:"Of a trigger."`
}

type textAnswer struct {
	Position    string `header:"Drover-Position"`
	ContentType string `header:"Content-Type"`
	Body        []byte
}

func (a *API) getResource(ctx context.Context, in *resourceInput) (*textAnswer, error) {
	if err := a.cfg.Queries.WaitForPosition(ctx, in.After.After); err != nil {
		return nil, err
	}
	text, err := a.cfg.Queries.ResourceFile(in.Kind, in.Project, in.Name)
	return &textAnswer{Position: a.position(), ContentType: "application/yaml", Body: text}, err
}
