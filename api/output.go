package api

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"github.com/droverhq/drover/domain"
	"github.com/droverhq/drover/query"
)

// OutputOf selects the output of a deployment.
type OutputOf struct {
	ID      string `path:"id"`
	Machine string `query:"machine" doc:"Default: all machines of the deployment."`
	After   string `query:"after" doc:"Return chunks after this sequence, or after MACHINE=SEQUENCE,MACHINE=SEQUENCE."`
}

type outputStreamInput struct {
	OutputOf
	LastEventID string `header:"Last-Event-ID"`
}

func (a *API) routeOutput() {
	register(a, costly(filtered(route(http.MethodGet, "/deployments/{id}/output",
		"Return the output of the parts of a deployment", domain.ReadVerb))), a.getOutput)
	op := filtered(route(http.MethodGet, "/deployments/{id}/output/stream",
		"Follow the output of a deployment (server-sent events); the last event is end", domain.ReadVerb))
	register(a, op, a.streamOutput)
}

func (a *API) getOutput(ctx context.Context, in *OutputOf) (*answer[query.Pieces], error) {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	pieces, err := a.cfg.Queries.Output(ctx, query.OutputInput{Deployment: in.ID, Machine: in.Machine, After: in.After,
		Sees: seesOf(ctx)})
	return &answer[query.Pieces]{Position: pieces.Position, Body: pieces}, err
}

func (a *API) streamOutput(ctx context.Context, in *outputStreamInput) (*huma.StreamResponse, error) {
	input := query.OutputInput{Deployment: in.ID, Machine: in.Machine, After: in.After, Sees: seesOf(ctx)}
	if in.LastEventID != "" {
		input.After = in.LastEventID
	}
	follow, err := a.cfg.Queries.FollowOutput(ctx, input)
	if err != nil {
		return nil, err
	}
	return a.stream(callerOf(ctx), "", func(streamCtx context.Context, s *sse) error {
		for piece, err := range follow(streamCtx) {
			if err != nil {
				return err
			}
			if err := s.send(piece.Cursor, "", piece.Piece); err != nil {
				return err
			}
		}
		return s.send("", "end", map[string]bool{"ended": true})
	})
}
