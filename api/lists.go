package api

import (
	"context"

	"github.com/danielgtaylor/huma/v2"

	"github.com/droverhq/drover/explain"
	"github.com/droverhq/drover/query"
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

// PastNamed is the input of a read of one item as it was in the past.
type PastNamed struct {
	At string `path:"at" doc:"A position or an RFC 3339 time."`
	Named
}

// pastPrefix begins the path of a read of the past. It is another route and not a parameter, because an older server would
// ignore an unknown parameter and answer with the present.
const pastPrefix = "/past/{at}"

// costlyRead describes a read of the past, which replays the log.
func costlyRead(path, summary string) huma.Operation {
	return costly(readRoute(pastPrefix+path, summary+" as it was at a position or time"))
}

func afterOf(in *Named) string         { return in.After.After }
func afterOfPast(in *PastNamed) string { return in.After.After }

// getItem registers the read of one item by name for callers who may read everything.
func getItem[T any](a *API, path, summary string, read func(context.Context, string) (T, error)) {
	get(a, path+"/{name}", summary, afterOf,
		func(ctx context.Context, in *Named) (T, error) { return read(ctx, in.Name) })
}

// getUnfilteredItem registers the reads of one item by name, now and in the past, for callers who may read everything.
func getUnfilteredItem[T any](a *API, path, summary string, read func(context.Context, query.Item) (T, error)) {
	path += "/{name}"
	get(a, path, summary, afterOf,
		func(ctx context.Context, in *Named) (T, error) { return read(ctx, query.Item{Name: in.Name}) })
	getWith(a, costlyRead(path, summary), afterOfPast, func(ctx context.Context, in *PastNamed) (T, error) {
		return read(ctx, query.Item{Name: in.Name, At: in.At})
	})
}

// getFilteredItem registers the reads of one item by name, now and in the past. An item that the caller may not read does
// not exist for it.
func getFilteredItem[T any](a *API, path, summary string, read func(context.Context, query.Item) (T, error)) {
	path += "/{name}"
	getFiltered(a, path, summary, afterOf, func(ctx context.Context, in *Named) (T, error) {
		return read(ctx, query.Item{Name: in.Name, Sees: seesOf(ctx)})
	})
	getWith(a, filtered(costlyRead(path, summary)), afterOfPast, func(ctx context.Context, in *PastNamed) (T, error) {
		return read(ctx, query.Item{Name: in.Name, At: in.At, Sees: seesOf(ctx)})
	})
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

// PastInProject is the input of a read of one item of a project as it was in the past.
type PastInProject struct {
	At string `path:"at" doc:"A position or an RFC 3339 time."`
	InProject
}

// getProjectItem registers the reads of one item of a project, now and in the past. An item that the caller may not read
// does not exist for it.
func getProjectItem[T any](a *API, path, summary string, read func(context.Context, query.Item) (T, error)) {
	path += "/{project}/{name}"
	getFiltered(a, path, summary, func(in *InProject) string { return in.After.After },
		func(ctx context.Context, in *InProject) (T, error) {
			return read(ctx, query.Item{Project: in.Project, Name: in.Name, Sees: seesOf(ctx)})
		})
	getWith(a, filtered(costlyRead(path, summary)), func(in *PastInProject) string { return in.After.After },
		func(ctx context.Context, in *PastInProject) (T, error) {
			return read(ctx, query.Item{Project: in.Project, Name: in.Name, At: in.At, Sees: seesOf(ctx)})
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
	getUnfilteredItem(a, "/access", "Return one Access", q.Access)
	getFilteredItem(a, "/environments", "Return one environment", q.Environment)
	getUnfilteredItem(a, "/policies", "Return one machine policy", q.Policy)
	getItem(a, "/servers", "Return one server", q.Server)
	getFilteredItem(a, "/deployments", "Return one deployment", q.Deployment)
	getProjectItem(a, "/triggers", "Return one trigger", q.Trigger)
	getProjectItem(a, "/releases", "Return one release", q.Release)
}
