package api

import (
	"context"
	"maps"
	"net/http"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"github.com/droverhq/drover/domain"
	"github.com/droverhq/drover/engine"
	"github.com/droverhq/drover/explain"
)

// apiPrefix begins the path of every route except probes.
const apiPrefix = "/api/v1"

// previews lists the writes that can make deployments due. Each of them has a preview: POST /api/v1/preview and the path
// of the write, with the same body and parameters. A preview is another route and not a parameter of the write, because
// an older server would ignore an unknown parameter and execute the write.
var previews = []string{
	"POST /pins", "DELETE /pins/{project}/{name}",
	"POST /holds", "DELETE /holds/{project}/{name}",
	"POST /machines/{name}/enable", "POST /projects/{name}/enable", "POST /triggers/{project}/{name}/enable",
	"POST /deployments", "POST /deployments/{name}/accept", "POST /deployments/{name}/cancel",
	"POST /deployments/{name}/retry", "POST /rollback", "POST /retry", "POST /releases/{project}/{name}/restore",
}

// Preview is what a write would do.
type Preview struct {
	Events   []string `json:"events" doc:"The events that the write would append."`
	Position string   `json:"position"`
	explain.Effects
}

// preview registers the preview of a write. It takes the same input and writes nothing.
func preview[I any](a *API, of huma.Operation, newCommand command[I]) {
	op := of
	op.Method, op.Path = http.MethodPost, apiPrefix+"/preview"+strings.TrimPrefix(of.Path, apiPrefix)
	op.OperationID, op.Summary = "preview-"+of.OperationID, "Preview, without writing: "+of.Summary
	op.Metadata = maps.Clone(of.Metadata)
	register(a, costly(op), func(ctx context.Context, in *I) (*answer[Preview], error) {
		c, err := newCommand(ctx, in, callerOf(ctx).Origin)
		if err != nil {
			return nil, err
		}
		out, err := a.foresee(ctx, c)
		return &answer[Preview]{Position: out.Position, Body: out}, err
	})
}

// foresee returns what commands would do, as far as the caller may see it.
func (a *API) foresee(ctx context.Context, commands ...domain.Command) (Preview, error) {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	p, err := a.cfg.Engine.Preview(ctx, commands...)
	if err != nil {
		return Preview{}, err
	}
	return Preview{Events: p.Events, Position: p.Position.String(), Effects: effectsOf(ctx, p)}, nil
}

// effectsOf returns the effects of a preview that the caller may see.
func effectsOf(ctx context.Context, p *engine.Preview) explain.Effects {
	return explain.EffectsOf(seesOf(ctx), explain.Foreseen{View: p.After.View, Deployments: p.Deployments,
		Before: p.Before.Due, After: p.After.Due})
}
