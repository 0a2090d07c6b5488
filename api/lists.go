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

// getList registers the route of a collection for callers who may read everything.
func getList[T any](a *API, path, summary string, read func(context.Context, explain.Filter) (explain.List[T], error)) {
	get(a, path, summary, func(in *List) string { return in.After.After },
		func(ctx context.Context, in *List) (explain.List[T], error) { return read(ctx, in.filter()) })
}

// getFilteredList registers the route of a collection whose items are shown as far as the caller may read them.
func getFilteredList[T any](a *API, path, summary string,
	read func(context.Context, explain.Filter) (explain.List[T], error)) {
	getFiltered(a, path, summary, func(in *List) string { return in.After.After },
		func(ctx context.Context, in *List) (explain.List[T], error) {
			f := in.filter()
			f.Sees = seesOf(ctx)
			return read(ctx, f)
		})
}

// Named is the input of a read of one item.
type Named struct {
	After
	Name string `path:"name"`
}

// getItem registers the read of one item by name for callers who may read everything.
func getItem[T any](a *API, path, summary string, read func(context.Context, string) (T, error)) {
	get(a, path+"/{name}", summary, func(in *Named) string { return in.After.After },
		func(ctx context.Context, in *Named) (T, error) { return read(ctx, in.Name) })
}

// getFilteredItem registers the read of one item by name. An item that the caller may not read does not exist for it.
func getFilteredItem[T any](a *API, path, summary string, read func(explain.Sees, string) (T, error)) {
	getFiltered(a, path+"/{name}", summary, func(in *Named) string { return in.After.After },
		func(ctx context.Context, in *Named) (T, error) { return read(seesOf(ctx), in.Name) })
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

// getProjectItem registers the read of one item of a project. An item that the caller may not read does not exist for
// it.
func getProjectItem[T any](a *API, path, summary string,
	read func(ctx context.Context, see explain.Sees, project, name string) (T, error)) {
	getFiltered(a, path+"/{project}/{name}", summary, func(in *InProject) string { return in.After.After },
		func(ctx context.Context, in *InProject) (T, error) {
			return read(ctx, seesOf(ctx), in.Project, in.Name)
		})
}

func (a *API) routeLists() {
	q := a.cfg.Queries
	getFilteredList(a, "/machines", "List machines by name", fromView(q.Machines))
	getFilteredList(a, "/environments", "List environments by name", fromView(q.Environments))
	getList(a, "/policies", "List machine policies by name", fromView(q.Policies))
	getFilteredList(a, "/projects", "List projects by name", fromView(q.Projects))
	getFilteredList(a, "/triggers", "List triggers by project and name", fromView(q.Triggers))
	getFilteredList(a, "/releases", "List releases by project, newest last", q.Releases)
	getFilteredList(a, "/deployments", "List deployments, newest first", q.Deployments)
	getFilteredList(a, "/candidates", "List candidates and what they wait for", fromView(q.Candidates))
	getList(a, "/tokens", "List valid tokens by id, without their secrets; state=expired, revoked or all returns others",
		q.Tokens)
	getList(a, "/access", "List Access resources by name", q.Accesses)
	getList(a, "/servers", "List running servers, newest first; state=gone or state=all returns others",
		fromView(q.Servers))
	getFilteredItem(a, "/machines", "Return one machine", q.Machine)
	getFilteredItem(a, "/projects", "Return one project", q.Project)
	getItem(a, "/tokens", "Return one token by its id or name", q.Token)
	getItem(a, "/access", "Return one Access", q.Access)
	getFilteredItem(a, "/environments", "Return one environment", q.Environment)
	getItem(a, "/policies", "Return one machine policy", fromView(q.Policy))
	getItem(a, "/servers", "Return one server", fromView(q.Server))
	getFiltered(a, "/deployments/{name}", "Return one deployment; a pruned one is read from the log",
		func(in *Named) string { return in.After.After },
		func(ctx context.Context, in *Named) (explain.Deployment, error) {
			return q.Deployment(ctx, seesOf(ctx), in.Name)
		})
	getProjectItem(a, "/triggers", "Return one trigger", q.Trigger)
	getProjectItem(a, "/releases", "Return one release", q.Release)
}
