package query

import (
	"context"
	"slices"
	"strings"

	"github.com/droverhq/drover/api/problem"
	"github.com/droverhq/drover/doctor"
	"github.com/droverhq/drover/domain"
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

// one returns one resource from the view. If find returns false, or if the reader must not see the resource, it returns
// missing with a hint to `drover VERB`.
func one[T any](q *Queries, see explain.Sees, find func(*projections.View) (T, bool), missing *problem.Problem,
	verb string) (thing T, err error) {
	found := false
	q.cfg.Engine.Read(func(v *projections.View) { thing, found = find(v) })
	if !found || !explain.Limit(see, &thing) {
		var none T
		thing = none
		return thing, missing.WithHint("`drover %s` lists them", verb)
	}
	return thing, nil
}

// named returns one resource by its name.
func named[T any](q *Queries, see explain.Sees, what, name, verb string, find func(*projections.View, string) (T, bool)) (T, error) {
	return one(q, see, func(v *projections.View) (T, bool) { return find(v, name) },
		problem.NotFound("%s %.80q does not exist", what, name), verb)
}

// Machine returns one machine.
func (q *Queries) Machine(see explain.Sees, name string) (explain.Machine, error) {
	return named(q, see, "machine", name, "get machines", explain.MachineOf)
}

// Project returns one project.
func (q *Queries) Project(see explain.Sees, name string) (explain.Project, error) {
	return named(q, see, "project", name, "get projects", explain.ProjectOf)
}

// Token returns one token by its id or name, without its secret.
func (q *Queries) Token(ctx context.Context, text string) (shown explain.Token, err error) {
	facts := q.tokenFacts(ctx)
	var ambiguous *domain.Rejection
	q.cfg.Engine.Read(func(v *projections.View) { _, ambiguous = domain.FindToken(v.World(), text) })
	if ambiguous != nil {
		return shown, ambiguous
	}
	return named(q, nil, "token", text, "token list", func(v *projections.View, text string) (explain.Token, bool) {
		return explain.TokenOf(v, facts, text)
	})
}

// Environment returns one environment.
func (q *Queries) Environment(see explain.Sees, name string) (explain.Environment, error) {
	return named(q, see, "environment", name, "get environments", explain.EnvironmentOf)
}

// Policy returns one machine policy.
func (q *Queries) Policy(name string) (explain.Policy, error) {
	return named(q, nil, "policy", name, "get policies", explain.PolicyOf)
}

// Server returns one server by its id.
func (q *Queries) Server(id string) (explain.Server, error) {
	return named(q, nil, "server", id, "get servers", func(v *projections.View, id string) (explain.Server, bool) {
		return explain.ServerOf(v, q.cfg.Engine.Server(), q.cfg.Engine.Alive, id)
	})
}

// Trigger returns one trigger of a project.
func (q *Queries) Trigger(_ context.Context, see explain.Sees, project, name string) (explain.Trigger, error) {
	find := func(v *projections.View) (explain.Trigger, bool) { return explain.TriggerOf(v, project, name) }
	return one(q, see, find, problem.NotFound("project %.80q has no trigger %.80q", project, name), "get triggers")
}

// Release returns one release of a project.
func (q *Queries) Release(ctx context.Context, see explain.Sees, project, version string) (explain.Release, error) {
	names := q.cfg.People.Names(ctx)
	find := func(v *projections.View) (explain.Release, bool) { return explain.ReleaseOf(v, names, project, version) }
	return one(q, see, find, problem.NotFound("project %.80q has no release %.140q", project, version), "get releases")
}
