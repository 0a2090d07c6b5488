package api

import (
	"context"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/droverhq/drover/domain"
	"github.com/droverhq/drover/explain"
	"github.com/droverhq/drover/query"
)

type eventsInput struct {
	After string `query:"after" doc:"Return events after this position. Default: from the beginning."`
	Limit int    `query:"limit" minimum:"1" maximum:"5000" default:"500"`
	Next  string `query:"next" doc:"The next of the previous page; the same as after."`
	// Newest returns the newest events instead of the oldest ones.
	Newest bool `query:"newest" doc:"Return the newest events after the position, in log order. There is no next page."`
	EventFilter
}

// EventFilter is the part of a request that selects events.
type EventFilter struct {
	Machine     string    `query:"machine" doc:"Only events about this machine."`
	Project     string    `query:"project" doc:"Only events about this project."`
	Environment string    `query:"environment" doc:"Only events about this environment."`
	Type        string    `query:"type" doc:"Only events of this type or category, such as MachineCameOnline."`
	Actor       string    `query:"actor" doc:"Only events that this person or token asked for, by name or id."`
	Since       time.Time `query:"since" doc:"Only events since this time (RFC 3339)."`
	Until       time.Time `query:"until" doc:"Only events until this time (RFC 3339)."`
}

func (f EventFilter) value() explain.EventFilter {
	return explain.EventFilter{Machine: f.Machine, Project: f.Project, Environment: f.Environment, Type: f.Type,
		Actor: f.Actor, Since: f.Since, Until: f.Until}
}

type streamInput struct {
	After       string `query:"after" doc:"Start after this position. Default: only new events."`
	LastEventID string `header:"Last-Event-ID"`
	EventFilter
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
	list, err := a.cfg.Queries.Events(ctx, query.EventQuery{Sees: seesOf(ctx), After: after, Limit: in.Limit,
		Filter: in.value(), Newest: in.Newest})
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
		for event, err := range a.cfg.Queries.FollowEvents(streamCtx, see, after, in.value()) {
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
