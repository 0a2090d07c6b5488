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
	getList(a, "/machines", "List machines by name", fromView(q.Machines))
	getList(a, "/environments", "List environments by name", fromView(q.Environments))
	getList(a, "/policies", "List machine policies by name", fromView(q.Policies))
	getList(a, "/projects", "List projects by name", fromView(q.Projects))
	getList(a, "/triggers", "List triggers by project and name", fromView(q.Triggers))
	getList(a, "/releases", "List releases by project, newest last", fromView(q.Releases))
	getList(a, "/deployments", "List deployments, newest first", q.Deployments)
	getList(a, "/candidates", "List candidates and what they wait for", fromView(q.Candidates))
	getList(a, "/tokens", "List tokens by id, without their secrets", q.Tokens)
	getList(a, "/servers", "List running servers, newest first; state=gone or state=all returns others",
		fromView(q.Servers))
	getItem(a, "/machines", "Return one machine", fromView(q.Machine))
	getItem(a, "/projects", "Return one project", fromView(q.Project))
	getItem(a, "/tokens", "Return one token", q.Token)
	getItem(a, "/environments", "Return one environment", fromView(q.Environment))
	getItem(a, "/policies", "Return one machine policy", fromView(q.Policy))
	getItem(a, "/servers", "Return one server", fromView(q.Server))
	getItem(a, "/deployments", "Return one deployment; a pruned one is read from the log", q.Deployment)
	getProjectItem(a, "/triggers", "Return one trigger", q.Trigger)
	getProjectItem(a, "/releases", "Return one release", q.Release)
}
