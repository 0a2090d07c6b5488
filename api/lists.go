package api

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/droverhq/drover/explain"
	"github.com/droverhq/drover/projections"
)

const (
	defaultLimit = 500
	maxLimit     = 5000
)

// List is what every list takes.
type List struct {
	After
	Limit       int    `query:"limit" minimum:"1" maximum:"5000" default:"500"`
	Next        string `query:"next" doc:"The next of the list before."`
	Project     string `query:"project"`
	Environment string `query:"environment"`
	Machine     string `query:"machine"`
	Role        string `query:"role"`
	State       string `query:"state"`
}

// filter checks what a list asks for; states are those it knows, none if it takes none.
func (l *List) filter(states []string) (explain.Filter, error) {
	if l.State != "" && !slices.Contains(states, l.State) {
		if len(states) == 0 {
			return explain.Filter{}, invalid("this list has no states, so state=%.40q picks nothing", l.State)
		}
		return explain.Filter{}, invalid("state %.40q is none that this list knows", l.State).hint("use one of " + strings.Join(states, ", "))
	}
	limit := l.Limit
	if limit == 0 {
		limit = defaultLimit
	}
	return explain.Filter{Project: l.Project, Environment: l.Environment, Machine: l.Machine, Role: l.Role, State: l.State,
		After: l.Next, Limit: min(limit, maxLimit)}, nil
}

// seeing calls see with the view and the ages of this moment.
func seeing[T any](a *API, see func(*projections.View, projections.Age) T) (shown T) {
	a.cfg.Engine.Judge(func(v *projections.View, age projections.Age) { shown = see(v, age) })
	return shown
}

// list registers a collection.
func list[T any](a *API, path, summary string, states []string, see func(*projections.View, projections.Age, explain.Filter) explain.List[T]) {
	get(a, path, summary, func(in *List) string { return in.After.After },
		func(_ context.Context, in *List) (explain.List[T], error) {
			f, err := in.filter(states)
			if err != nil {
				return explain.List[T]{}, err
			}
			return seeing(a, func(v *projections.View, age projections.Age) explain.List[T] { return see(v, age, f) }), nil
		})
}

// Named is a read of one thing.
type Named struct {
	After
	Name string `path:"name"`
}

// one registers the read of one thing by name. what is how a miss is told.
func one[T any](a *API, path, what, list string, see func(*projections.View, string) (T, bool)) {
	get(a, path+"/{name}", "One "+what, func(in *Named) string { return in.After.After },
		func(_ context.Context, in *Named) (T, error) {
			return found(a, func(v *projections.View) (T, bool) { return see(v, in.Name) },
				fmt.Sprintf("%s %.80q does not exist", what, in.Name), list)
		})
}

func found[T any](a *API, see func(*projections.View) (T, bool), miss, list string) (thing T, err error) {
	ok := false
	a.cfg.Engine.Read(func(v *projections.View) { thing, ok = see(v) })
	if !ok {
		return thing, missing("%s", miss).hint("`drover " + list + "` lists them")
	}
	return thing, nil
}

func (a *API) routeLists() {
	type view = projections.View
	list(a, "/machines", "Machines, by name", explain.MachineStates,
		func(v *view, _ projections.Age, f explain.Filter) explain.List[explain.Machine] {
			return explain.Machines(v, f)
		})
	list(a, "/environments", "Environments, by name", nil,
		func(v *view, _ projections.Age, f explain.Filter) explain.List[explain.Environment] {
			return explain.Environments(v, f)
		})
	list(a, "/policies", "Machine policies, by name", nil,
		func(v *view, _ projections.Age, f explain.Filter) explain.List[explain.Policy] {
			return explain.Policies(v, f)
		})
	list(a, "/projects", "Projects, by name", nil,
		func(v *view, _ projections.Age, f explain.Filter) explain.List[explain.Project] {
			return explain.Projects(v, f)
		})
	list(a, "/triggers", "Triggers, by project and name", nil,
		func(v *view, _ projections.Age, f explain.Filter) explain.List[explain.Trigger] {
			return explain.Triggers(v, f)
		})
	list(a, "/releases", "Releases, by project, the newest last", nil,
		func(v *view, _ projections.Age, f explain.Filter) explain.List[explain.Release] {
			return explain.Releases(v, f)
		})
	list(a, "/deployments", "Deployments, the newest first", explain.DeploymentStates,
		func(v *view, _ projections.Age, f explain.Filter) explain.List[explain.Deployment] {
			return explain.Deployments(v, f)
		})
	list(a, "/candidates", "What waits, and for what", explain.CandidateStates, explain.Candidates)
	list(a, "/tokens", "Tokens, by id; never their secrets", nil,
		func(v *view, _ projections.Age, f explain.Filter) explain.List[explain.Token] {
			return explain.Tokens(v, f)
		})
	list(a, "/servers", "Servers that run, the newest first; state=gone or all for the others", explain.ServerStates, a.servers)
	a.routeOnes()
}

func (a *API) servers(v *projections.View, _ projections.Age, f explain.Filter) explain.List[explain.Server] {
	return explain.Servers(v, a.cfg.Engine.Server(), a.cfg.Engine.Alive, f)
}

func (a *API) routeOnes() {
	one(a, "/machines", "machine", "get machines", explain.MachineOf)
	one(a, "/projects", "project", "get projects", explain.ProjectOf)
	one(a, "/tokens", "token", "token list", explain.TokenOf)
	one(a, "/environments", "environment", "get environments", explain.EnvironmentOf)
	one(a, "/policies", "policy", "get policies", explain.PolicyOf)
	get(a, "/deployments/{name}", "One deployment; one that ended long ago is read from the log", func(in *Named) string { return in.After.After }, a.oneDeployment)
	one(a, "/servers", "server", "get servers", func(v *projections.View, name string) (explain.Server, bool) {
		return explain.ServerOf(v, a.cfg.Engine.Server(), a.cfg.Engine.Alive, name)
	})
	get(a, "/triggers/{project}/{name}", "One trigger", func(in *InProject) string { return in.After.After },
		func(_ context.Context, in *InProject) (explain.Trigger, error) {
			return found(a, func(v *projections.View) (explain.Trigger, bool) { return explain.TriggerOf(v, in.Project, in.Name) },
				fmt.Sprintf("project %.80q has no trigger %.80q", in.Project, in.Name), "get triggers")
		})
	get(a, "/releases/{project}/{name}", "One release", func(in *InProject) string { return in.After.After },
		func(_ context.Context, in *InProject) (explain.Release, error) {
			return found(a, func(v *projections.View) (explain.Release, bool) { return explain.ReleaseOf(v, in.Project, in.Name) },
				fmt.Sprintf("project %.80q has no release %.140q", in.Project, in.Name), "get releases")
		})
}

// InProject is a read of one thing of a project.
type InProject struct {
	After
	Project string `path:"project"`
	Name    string `path:"name"`
}
