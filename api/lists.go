package api

import (
	"context"

	"github.com/droverhq/drover/explain"
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

func (l *List) filter() explain.Filter {
	return explain.Filter{Project: l.Project, Environment: l.Environment, Machine: l.Machine, Role: l.Role,
		State: l.State, After: l.Next, Limit: l.Limit}
}

// list registers a collection.
func list[T any](a *API, path, summary string, read func(context.Context, explain.Filter) (explain.List[T], error)) {
	get(a, path, summary, func(in *List) string { return in.After.After },
		func(ctx context.Context, in *List) (explain.List[T], error) { return read(ctx, in.filter()) })
}

// Named is a read of one thing.
type Named struct {
	After
	Name string `path:"name"`
}

// one registers the read of one thing by name.
func one[T any](a *API, path, summary string, read func(context.Context, string) (T, error)) {
	get(a, path+"/{name}", summary, func(in *Named) string { return in.After.After },
		func(ctx context.Context, in *Named) (T, error) { return read(ctx, in.Name) })
}

// here is a read that needs no context: it is answered from the view alone.
func here[I, T any](read func(I) (T, error)) func(context.Context, I) (T, error) {
	return func(_ context.Context, in I) (T, error) { return read(in) }
}

// InProject is a read of one thing of a project.
type InProject struct {
	After
	Project string `path:"project"`
	Name    string `path:"name"`
}

// oneOf registers the read of one thing of a project.
func oneOf[T any](a *API, path, summary string, read func(project, name string) (T, error)) {
	get(a, path+"/{project}/{name}", summary, func(in *InProject) string { return in.After.After },
		func(_ context.Context, in *InProject) (T, error) { return read(in.Project, in.Name) })
}

func (a *API) routeLists() {
	q := a.cfg.Queries
	list(a, "/machines", "Machines, by name", here(q.Machines))
	list(a, "/environments", "Environments, by name", here(q.Environments))
	list(a, "/policies", "Machine policies, by name", here(q.Policies))
	list(a, "/projects", "Projects, by name", here(q.Projects))
	list(a, "/triggers", "Triggers, by project and name", here(q.Triggers))
	list(a, "/releases", "Releases, by project, the newest last", here(q.Releases))
	list(a, "/deployments", "Deployments, the newest first", q.Deployments)
	list(a, "/candidates", "What waits, and for what", here(q.Candidates))
	list(a, "/tokens", "Tokens, by id; never their secrets", q.Tokens)
	list(a, "/servers", "Servers that run, the newest first; state=gone or all for the others", here(q.Servers))
	one(a, "/machines", "One machine", here(q.Machine))
	one(a, "/projects", "One project", here(q.Project))
	one(a, "/tokens", "One token", q.Token)
	one(a, "/environments", "One environment", here(q.Environment))
	one(a, "/policies", "One policy", here(q.Policy))
	one(a, "/servers", "One server", here(q.Server))
	one(a, "/deployments", "One deployment; one that ended long ago is read from the log", q.Deployment)
	oneOf(a, "/triggers", "One trigger", q.Trigger)
	oneOf(a, "/releases", "One release", q.Release)
}
