package api

import (
	"context"

	"github.com/droverhq/drover/explain"
)

// List is the input of every list.
type List struct {
	After
	Limit       int    `query:"limit" minimum:"1" maximum:"5000" default:"500"`
	Next        string `query:"next" doc:"The next of the previous page."`
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

// getList registers the route of a collection.
func getList[T any](a *API, path, summary string, read func(context.Context, explain.Filter) (explain.List[T], error)) {
	get(a, path, summary, func(in *List) string { return in.After.After },
		func(ctx context.Context, in *List) (explain.List[T], error) { return read(ctx, in.filter()) })
}

// Named is the input of a read of one item.
type Named struct {
	After
	Name string `path:"name"`
}

// getItem registers the read of one item by name.
func getItem[T any](a *API, path, summary string, read func(context.Context, string) (T, error)) {
	get(a, path+"/{name}", summary, func(in *Named) string { return in.After.After },
		func(ctx context.Context, in *Named) (T, error) { return read(ctx, in.Name) })
}

// fromView adapts a read that needs no context, because it is answered from the view.
func fromView[I, T any](read func(I) (T, error)) func(context.Context, I) (T, error) {
	return func(_ context.Context, in I) (T, error) { return read(in) }
}

// InProject is the input of a read of one item of a project.
type InProject struct {
	After
	Project string `path:"project"`
	Name    string `path:"name"`
}

// getProjectItem registers the read of one item of a project.
func getProjectItem[T any](a *API, path, summary string, read func(project, name string) (T, error)) {
	get(a, path+"/{project}/{name}", summary, func(in *InProject) string { return in.After.After },
		func(_ context.Context, in *InProject) (T, error) { return read(in.Project, in.Name) })
}

func (a *API) routeLists() {
	q := a.cfg.Queries
	getList(a, "/machines", "Machines, by name", fromView(q.Machines))
	getList(a, "/environments", "Environments, by name", fromView(q.Environments))
	getList(a, "/policies", "Machine policies, by name", fromView(q.Policies))
	getList(a, "/projects", "Projects, by name", fromView(q.Projects))
	getList(a, "/triggers", "Triggers, by project and name", fromView(q.Triggers))
	getList(a, "/releases", "Releases, by project, newest last", fromView(q.Releases))
	getList(a, "/deployments", "Deployments, newest first", q.Deployments)
	getList(a, "/candidates", "Candidates, with what they wait for", fromView(q.Candidates))
	getList(a, "/tokens", "Tokens, by id; never their secrets", q.Tokens)
	getList(a, "/servers", "Running servers, newest first; state=gone or state=all returns others", fromView(q.Servers))
	getItem(a, "/machines", "One machine", fromView(q.Machine))
	getItem(a, "/projects", "One project", fromView(q.Project))
	getItem(a, "/tokens", "One token", q.Token)
	getItem(a, "/environments", "One environment", fromView(q.Environment))
	getItem(a, "/policies", "One policy", fromView(q.Policy))
	getItem(a, "/servers", "One server", fromView(q.Server))
	getItem(a, "/deployments", "One deployment; a pruned one is read from the log", q.Deployment)
	getProjectItem(a, "/triggers", "One trigger", q.Trigger)
	getProjectItem(a, "/releases", "One release", q.Release)
}
