package query

import (
	"context"
	"slices"
	"strings"

	"github.com/droverhq/drover/api/problem"
	"github.com/droverhq/drover/doctor"
	"github.com/droverhq/drover/explain"
	"github.com/droverhq/drover/projections"
)

const (
	defaultLimit = 500
	maxLimit     = 5000
)

// list builds a list from the view. states are the valid values of the filter's state, if the list has any.
func list[T any](q *Queries, f explain.Filter, states []string,
	build func(*projections.View, projections.Age, explain.Filter) explain.List[T]) (explain.List[T], error) {
	if f.State != "" && !slices.Contains(states, f.State) {
		if len(states) == 0 {
			return explain.List[T]{}, problem.Invalid("this list has no states, so the filter state=%.40q is invalid",
				f.State)
		}
		return explain.List[T]{}, problem.Invalid("unknown state %.40q", f.State).
			WithHint("use one of %s", strings.Join(states, ", "))
	}
	if f.Limit == 0 {
		f.Limit = defaultLimit
	}
	f.Limit = min(f.Limit, maxLimit)
	return withAges(q, func(v *projections.View, age projections.Age) explain.List[T] { return build(v, age, f) }), nil
}

// ignoreAges adapts a function that does not depend on ages.
func ignoreAges[T any](build func(*projections.View, explain.Filter) explain.List[T]) func(*projections.View,
	projections.Age, explain.Filter) explain.List[T] {
	return func(v *projections.View, _ projections.Age, f explain.Filter) explain.List[T] { return build(v, f) }
}

// Machines lists machines by name.
func (q *Queries) Machines(f explain.Filter) (explain.List[explain.Machine], error) {
	return list(q, f, explain.MachineStates, ignoreAges(explain.Machines))
}

// Environments lists environments by name.
func (q *Queries) Environments(f explain.Filter) (explain.List[explain.Environment], error) {
	return list(q, f, nil, ignoreAges(explain.Environments))
}

// Policies lists machine policies by name.
func (q *Queries) Policies(f explain.Filter) (explain.List[explain.Policy], error) {
	return list(q, f, nil, ignoreAges(explain.Policies))
}

// Projects lists projects by name.
func (q *Queries) Projects(f explain.Filter) (explain.List[explain.Project], error) {
	return list(q, f, nil, ignoreAges(explain.Projects))
}

// Triggers lists triggers by project and name.
func (q *Queries) Triggers(f explain.Filter) (explain.List[explain.Trigger], error) {
	return list(q, f, nil, ignoreAges(explain.Triggers))
}

// Releases lists releases by project, the newest last.
func (q *Queries) Releases(ctx context.Context, f explain.Filter) (explain.List[explain.Release], error) {
	names := q.cfg.People.Names(ctx)
	return list(q, f, nil, ignoreAges(func(v *projections.View, f explain.Filter) explain.List[explain.Release] {
		return explain.Releases(v, names, f)
	}))
}

// Deployments lists deployments, the newest first.
func (q *Queries) Deployments(ctx context.Context, f explain.Filter) (explain.List[explain.Deployment], error) {
	names := q.cfg.People.Names(ctx)
	return list(q, f, explain.DeploymentStates,
		func(v *projections.View, _ projections.Age, f explain.Filter) explain.List[explain.Deployment] {
			return explain.Deployments(v, f, names)
		})
}

// Candidates lists the machines that wait for a deployment, and why.
func (q *Queries) Candidates(f explain.Filter) (explain.List[explain.Candidate], error) {
	return list(q, f, explain.CandidateStates, explain.Candidates)
}

// Tokens lists tokens by id, without their secrets.
func (q *Queries) Tokens(ctx context.Context, f explain.Filter) (explain.List[explain.Token], error) {
	facts := q.tokenFacts(ctx)
	build := func(v *projections.View, f explain.Filter) explain.List[explain.Token] {
		return explain.Tokens(v, facts, f)
	}
	return list(q, f, explain.TokenStates, ignoreAges(build))
}

func (q *Queries) tokenFacts(ctx context.Context) explain.TokenFacts {
	now, _ := q.cfg.Engine.CredibleTime()
	return explain.TokenFacts{Names: q.cfg.People.Names(ctx), Now: now, LastUsed: q.cfg.Access.LastUses(ctx)}
}

// AdminWarning returns a sentence if every admin token expires, else an empty text.
func (q *Queries) AdminWarning() (warning string) {
	now, _ := q.cfg.Engine.CredibleTime()
	q.cfg.Engine.Read(func(v *projections.View) { warning = doctor.AdminWarning(v, now) })
	return warning
}

// People lists the people whose names are stored, by id.
func (q *Queries) People(ctx context.Context, f explain.Filter) (explain.List[explain.Person], error) {
	names := q.cfg.People.Names(ctx)
	return list(q, f, nil, func(v *projections.View, _ projections.Age, f explain.Filter) explain.List[explain.Person] {
		return explain.People(v, names, f)
	})
}

// Servers lists servers, the newest first.
func (q *Queries) Servers(f explain.Filter) (explain.List[explain.Server], error) {
	return list(q, f, explain.ServerStates,
		ignoreAges(func(v *projections.View, f explain.Filter) explain.List[explain.Server] {
			return explain.Servers(v, q.cfg.Engine.Server(), q.cfg.Engine.Alive, f)
		}))
}
