package api

import (
	"context"
	"net/http"

	"github.com/droverhq/drover/domain"
	"github.com/droverhq/drover/explain"
)

type personInput struct {
	Key
	Body struct {
		Name string `json:"name" doc:"The person's name. It is stored outside the log, so that it can be erased."`
	}
}

func (a *API) routePeople() {
	getList(a, "/people", "List the people whose names are stored, by id", a.cfg.Queries.People)
	register(a, route(http.MethodPost, "/people", "Store a person's name under a new id", domain.PeopleVerb),
		func(ctx context.Context, in *personInput) (*answer[explain.Person], error) {
			key, err := commandID(in.Key.Key)
			if err != nil {
				return nil, err
			}
			person, err := a.cfg.People.Add(ctx, key, in.Body.Name)
			return &answer[explain.Person]{Position: a.cfg.Queries.Position().String(), Body: person}, err
		})
	erase := route(http.MethodDelete, "/people/{name}", "Erase a person's name; events then show an erased person",
		domain.PeopleVerb)
	register(a, erase,
		func(ctx context.Context, in *WriteNamed) (*answer[empty], error) {
			err := a.cfg.People.Erase(ctx, in.Name)
			return &answer[empty]{Position: a.cfg.Queries.Position().String()}, err
		})
}
