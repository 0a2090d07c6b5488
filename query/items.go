package query

import (
	"context"
	"strings"
	"time"

	"github.com/droverhq/drover/api/problem"
	"github.com/droverhq/drover/domain"
	"github.com/droverhq/drover/engine"
	"github.com/droverhq/drover/eventlog"
	"github.com/droverhq/drover/explain"
	"github.com/droverhq/drover/projections"
)

// Item selects one resource.
type Item struct {
	// Project is the project of a trigger or release; empty for other kinds.
	Project, Name string
	// At is a position or an RFC 3339 time in the past; empty means now.
	At string
	// Sees is what the reader may see; nil means everything.
	Sees explain.Sees
}

// look calls see with the view of a moment: of now, or of a position or time in the past.
func (q *Queries) look(ctx context.Context, at string, see func(*projections.View)) error {
	if at == "" {
		q.cfg.Engine.Read(see)
		return nil
	}
	v, _, err := q.replay(ctx, func(now time.Time) (engine.Moment, error) { return q.parseMoment(ctx, at, now) })
	if err == nil {
		see(v)
	}
	return err
}

// one returns one resource. If find returns false, or if the reader must not see the resource, it returns missing with a
// hint to `drover VERB`.
func one[T any](ctx context.Context, q *Queries, in Item, find func(*projections.View) (T, bool),
	missing *problem.Problem, verb string) (thing T, err error) {
	found := false
	err = q.look(ctx, in.At, func(v *projections.View) { thing, found = find(v) })
	if err == nil && (!found || !explain.Limit(in.Sees, &thing)) {
		err = missing.WithHint("`drover %s` lists them", verb)
		if in.At != "" {
			err = didNotExistAt(missing, in.At)
		}
	}
	if err != nil {
		var none T
		return none, err
	}
	return thing, nil
}

// didNotExistAt returns the problem of a resource that did not exist at a position or time in the past.
func didNotExistAt(missing error, at string) *problem.Problem {
	detail := problem.Of(missing).Detail
	detail = strings.Replace(detail, "does not exist", "did not exist", 1)
	detail = strings.Replace(detail, " has no ", " had no ", 1)
	if position, err := eventlog.ParsePosition(strings.TrimPrefix(at, "#")); err == nil {
		at = "#" + position.String()
	}
	return problem.NotFound("%s at %s", detail, at).
		WithHint("`drover events` shows when it was added; ask for a later time")
}

// named returns one resource by its name.
func named[T any](ctx context.Context, q *Queries, in Item, what, verb string,
	find func(*projections.View, string) (T, bool)) (T, error) {
	return one(ctx, q, in, func(v *projections.View) (T, bool) { return find(v, in.Name) },
		problem.NotFound("%s %.80q does not exist", what, in.Name), verb)
}

// Machine returns one machine.
func (q *Queries) Machine(ctx context.Context, in Item) (explain.Machine, error) {
	return named(ctx, q, in, "machine", "get machines", explain.MachineOf)
}

// Project returns one project.
func (q *Queries) Project(ctx context.Context, in Item) (explain.Project, error) {
	return named(ctx, q, in, "project", "get projects", explain.ProjectOf)
}

// Token returns one token by its id or name, without its secret.
func (q *Queries) Token(ctx context.Context, text string) (shown explain.Token, err error) {
	facts := q.tokenFacts(ctx)
	var ambiguous *domain.Rejection
	q.cfg.Engine.Read(func(v *projections.View) { _, ambiguous = domain.FindToken(v.World(), text) })
	if ambiguous != nil {
		return shown, ambiguous
	}
	return named(ctx, q, Item{Name: text}, "token", "token list",
		func(v *projections.View, text string) (explain.Token, bool) { return explain.TokenOf(v, facts, text) })
}

// Environment returns one environment.
func (q *Queries) Environment(ctx context.Context, in Item) (explain.Environment, error) {
	return named(ctx, q, in, "environment", "get environments", explain.EnvironmentOf)
}

// Policy returns one machine policy.
func (q *Queries) Policy(ctx context.Context, in Item) (explain.Policy, error) {
	return named(ctx, q, in, "policy", "get policies", explain.PolicyOf)
}

// Server returns one server by its id.
func (q *Queries) Server(ctx context.Context, id string) (explain.Server, error) {
	return named(ctx, q, Item{Name: id}, "server", "get servers",
		func(v *projections.View, id string) (explain.Server, bool) {
			return explain.ServerOf(v, q.cfg.Engine.Server(), q.cfg.Engine.Alive, id)
		})
}

// Trigger returns one trigger of a project.
func (q *Queries) Trigger(ctx context.Context, in Item) (explain.Trigger, error) {
	find := func(v *projections.View) (explain.Trigger, bool) { return explain.TriggerOf(v, in.Project, in.Name) }
	return one(ctx, q, in, find, problem.NotFound("project %.80q has no trigger %.80q", in.Project, in.Name),
		"get triggers")
}

// Release returns one release of a project.
func (q *Queries) Release(ctx context.Context, in Item) (explain.Release, error) {
	names := q.cfg.People.Names(ctx)
	find := func(v *projections.View) (explain.Release, bool) {
		return explain.ReleaseOf(v, names, in.Project, in.Name)
	}
	return one(ctx, q, in, find, problem.NotFound("project %.80q has no release %.140q", in.Project, in.Name),
		"get releases")
}
