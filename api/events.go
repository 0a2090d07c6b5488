package api

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"github.com/droverhq/drover/domain"
	"github.com/droverhq/drover/explain"
	"github.com/droverhq/drover/query"
)

type eventsInput struct {
	After string `query:"after" doc:"Return events after this position. Default: from the beginning."`
	Limit int    `query:"limit" minimum:"1" maximum:"5000" default:"500"`
	Next  string `query:"next" doc:"The next of the previous page; the same as after."`
}

type streamInput struct {
	After       string `query:"after" doc:"Start after this position. Default: only new events."`
	LastEventID string `header:"Last-Event-ID"`
}

func (a *API) routeEvents() {
	register(a, filtered(readRoute("/events", "List events in log order")), a.getEvents)
	op := filtered(route(http.MethodGet, "/events/stream", "Stream events as they happen (server-sent events)",
		domain.ReadVerb))
	register(a, op, a.streamEvents)
}

func (a *API) getEvents(ctx context.Context, in *eventsInput) (*answer[explain.List[explain.Event]], error) {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	after, err := query.ParsePosition(in.After, in.Next)
	if err != nil {
		return nil, err
	}
	list, err := a.cfg.Queries.Events(ctx, seesOf(ctx), after, in.Limit)
	return &answer[explain.List[explain.Event]]{Position: list.Position, Body: list}, err
}

func (a *API) streamEvents(ctx context.Context, in *streamInput) (*huma.StreamResponse, error) {
	after, err := query.ParsePosition(in.LastEventID, in.After)
	if err != nil {
		return nil, err
	}
	if in.LastEventID == "" && in.After == "" {
		after = a.cfg.Queries.Newest(ctx)
	} else if err := a.cfg.Queries.CheckReached(ctx, after); err != nil {
		return nil, err
	}
	see := seesOf(ctx)
	return a.stream(callerOf(ctx), after.String(), func(streamCtx context.Context, s *sse) error {
		for event, err := range a.cfg.Queries.FollowEvents(streamCtx, see, after) {
			if err != nil {
				return err
			}
			if err := s.send(event.Position, "", event); err != nil {
				return err
			}
		}
		return nil
	})
}
