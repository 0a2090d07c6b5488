package query_test

import (
	"context"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/droverhq/drover/access"
	"github.com/droverhq/drover/api/client"
	"github.com/droverhq/drover/api/problem"
	"github.com/droverhq/drover/domain"
	"github.com/droverhq/drover/engine"
	"github.com/droverhq/drover/eventlog"
	"github.com/droverhq/drover/eventlog/memory"
	"github.com/droverhq/drover/explain"
	"github.com/droverhq/drover/internal/clock"
	"github.com/droverhq/drover/internal/ids"
	"github.com/droverhq/drover/query"
)

// timeout bounds how long a test waits.
const timeout = 10 * time.Second

// fixture is the Queries of a server on a log in memory.
type fixture struct {
	*query.Queries
	t      *testing.T
	log    eventlog.Backend
	engine *engine.Engine
}

func newFixture(t *testing.T) *fixture {
	t.Helper()
	log, wall := memory.New(), clock.New()
	e, err := engine.Open(t.Context(), engine.Config{Log: log, Clock: wall, Server: ids.New()})
	require.NoError(t, err)
	require.NoError(t, e.Start(t.Context()))
	return &fixture{Queries: query.New(query.Config{Engine: e, Log: log, Clock: wall, Access: access.New(e, wall),
		People: access.NewPeople(log, wall)}), t: t, log: log, engine: e}
}

func (f *fixture) do(c domain.Command) engine.Result {
	f.t.Helper()
	r, err := f.engine.Handle(context.Background(), ids.New(), c)
	require.NoError(f.t, err)
	_, err = f.engine.React(context.Background())
	require.NoError(f.t, err)
	return r
}

func TestListRejectsAnUnknownState(t *testing.T) {
	f := newFixture(t)
	_, err := f.Machines(explain.Filter{State: "asleep"})
	require.Equal(t, client.Invalid, problem.Of(err).Kind)
	require.Contains(t, problem.Of(err).Hint, "online")
	_, err = f.Projects(explain.Filter{State: "online"})
	require.ErrorContains(t, err, "this list has no states")
}

func TestFollowEventsYieldsEachEventOnceAndInOrder(t *testing.T) {
	f := newFixture(t)
	f.do(domain.ApplyEnvironment{Name: "production"})
	ctx, cancel := context.WithTimeout(t.Context(), timeout)
	defer cancel()
	var types []string
	for event, err := range f.FollowEvents(ctx, nil, 0, explain.EventFilter{}) {
		require.NoError(t, err)
		types = append(types, event.Type)
		if len(types) == 2 { // all stored events; the next one is appended while the reader waits
			go func() {
				_, _ = f.engine.Handle(ctx, ids.New(), domain.ApplyMachine{Name: "web-01", Environment: "production"})
			}()
		}
		if len(types) == 3 {
			break
		}
	}
	require.Equal(t, []string{"ServerStarted", "EnvironmentDefined", "MachineAdded"}, types)
}

func TestFollowEventsReportsWhyTheStreamEnds(t *testing.T) {
	f := newFixture(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	var last error
	for _, err := range f.FollowEvents(ctx, nil, f.Position(), explain.EventFilter{}) {
		last = err
	}
	require.ErrorIs(t, last, context.Canceled)
	for _, err := range f.FollowEvents(t.Context(), nil, f.Position()+5, explain.EventFilter{}) {
		last = err
	}
	require.Equal(t, client.Conflict, problem.Of(last).Kind)
	require.ErrorContains(t, last, "was it restored from a backup?")
}

func TestFollowOutputEndsWithItsDeployment(t *testing.T) {
	f := newFixture(t)
	session, instance := ids.New(), ids.New()
	f.do(domain.ApplyEnvironment{Name: "production"})
	f.do(domain.ApplyProject{Name: "shop",
		Settings: domain.ProjectSettings{Steps: []domain.Step{{Name: "install", Run: "true"}}}})
	f.do(domain.CreateRelease{Project: "shop", Version: "1.0"})
	f.do(domain.ApplyMachine{Name: "web-01", Environment: "production"})
	f.do(domain.ConnectMachine{Name: "web-01", Server: f.engine.Server(), Session: session, Instance: instance})
	d := f.do(domain.Deploy{Project: "shop", Release: "1.0", Environment: "production"}).Deployment
	f.do(domain.ClaimPart{Deployment: d, Machine: "web-01", Session: session, Instance: instance})
	put := func(sequence int64, text string) {
		require.NoError(t, f.log.Add(context.Background(), eventlog.Output,
			eventlog.Item{Key: eventlog.OutputKey(uuid.UUID(d), "web-01"), Sequence: sequence, Data: []byte(text)}))
		f.OutputArrived(d)
	}
	put(1, "one ")
	follow, err := f.FollowOutput(t.Context(), query.OutputInput{Deployment: d.String()})
	require.NoError(t, err)
	ctx, cancel := context.WithTimeout(t.Context(), timeout)
	defer cancel()
	var text, cursor string
	for piece, err := range follow(ctx) {
		require.NoError(t, err)
		text, cursor = text+string(piece.Data), piece.Cursor
		if piece.Sequence == 1 {
			put(2, "two")
			f.do(domain.EndPart{Deployment: d, Machine: "web-01", Session: session, Instance: instance,
				State: domain.PartSucceeded})
		}
	}
	require.Equal(t, "one two", text)
	require.Equal(t, "web-01=2", cursor)
	rest, err := f.Output(t.Context(), query.OutputInput{Deployment: d.String(), After: "web-01=1"})
	require.NoError(t, err)
	require.True(t, rest.Ended)
	require.Len(t, rest.Items, 1)
	_, err = f.FollowOutput(t.Context(), query.OutputInput{Deployment: d.String(), Machine: "web-99"})
	require.Equal(t, client.NotFound, problem.Of(err).Kind)
}

func TestWhyRefusesATimeInTheFuture(t *testing.T) {
	f := newFixture(t)
	f.do(domain.ApplyEnvironment{Name: "production"})
	f.do(domain.ApplyMachine{Name: "web-01", Environment: "production"})
	at := func(d time.Duration) query.WhyInput {
		return query.WhyInput{Machine: "web-01", At: time.Now().Add(d).UTC().Format(time.RFC3339)}
	}
	_, err := f.Why(t.Context(), at(time.Hour))
	require.Equal(t, client.Invalid, problem.Of(err).Kind)
	require.Regexp(t, `^2.* is in the future: on this server it is 2`, problem.Of(err).Detail)
	for _, d := range []time.Duration{time.Second, 3 * time.Second} { // the clock of a person may be slightly ahead
		answers, err := f.Why(t.Context(), at(d))
		require.NoError(t, err)
		require.Equal(t, f.Position().String(), answers.Position)
	}
	_, err = f.Why(t.Context(), at(-time.Hour))
	require.ErrorContains(t, err, "did not exist")
}

// filtered returns the types of the events that a query selects, page by page.
func (f *fixture) filtered(in query.EventQuery) (types []string) {
	for {
		list, err := f.Events(f.t.Context(), in)
		require.NoError(f.t, err)
		for _, e := range list.Items {
			types = append(types, e.Type)
		}
		if list.Next == "" {
			return types
		}
		in.After, err = eventlog.ParsePosition(list.Next)
		require.NoError(f.t, err)
	}
}

func TestEventsAreFilteredByWhatTheyAreAbout(t *testing.T) {
	f := newFixture(t)
	f.do(domain.ApplyEnvironment{Name: "production", Origin: domain.By("ann")})
	f.do(domain.ApplyMachine{Name: "web-01", Environment: "production", Origin: domain.By("agent")})
	f.do(domain.ApplyMachine{Name: "web-02", Environment: "production", Origin: domain.By("agent")})
	f.do(domain.ApplyProject{Name: "shop", Settings: domain.ProjectSettings{Steps: []domain.Step{{Name: "install", Run: "true"}}}})
	f.do(domain.CreateRelease{Project: "shop", Version: "1.0"})
	f.do(domain.Deploy{Project: "shop", Release: "1.0", Environment: "production", Machines: []string{"web-02"},
		Origin: domain.By("bob")})
	for name, c := range map[string]struct {
		filter explain.EventFilter
		want   []string
	}{
		"machine, with its deployments": {explain.EventFilter{Machine: "web-02"},
			[]string{"MachineAdded", "DeploymentQueued", "PartEnded", "DeploymentEnded"}},
		"another machine of none": {explain.EventFilter{Machine: "web-01"}, []string{"MachineAdded"}},
		"project":                 {explain.EventFilter{Project: "shop", Type: "releasecreated"}, []string{"ReleaseCreated"}},
		"environment":             {explain.EventFilter{Environment: "production", Type: "MachineAdded"}, []string{"MachineAdded", "MachineAdded"}},
		"group":                   {explain.EventFilter{Type: "MachineAvailable"}, []string{"MachineAdded", "MachineAdded"}},
		"actor":                   {explain.EventFilter{Actor: "bob"}, []string{"DeploymentQueued"}},
		"no such machine":         {explain.EventFilter{Machine: "web-99"}, nil},
		"since a long time":       {explain.EventFilter{Since: time.Unix(0, 0), Actor: "ann"}, []string{"EnvironmentDefined"}},
		"until before":            {explain.EventFilter{Until: time.Unix(0, 0)}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			for _, limit := range []int{1, 500} {
				require.Equal(t, c.want, f.filtered(query.EventQuery{Limit: limit, Filter: c.filter}))
			}
		})
	}
}

// The log has more events than are searched for one page, and than the newest events are read back at first.
func TestFiltersReachTheWholeLog(t *testing.T) {
	f := newFixture(t)
	f.do(domain.ApplyEnvironment{Name: "first"})
	f.do(domain.ApplyEnvironment{Name: "production"})
	for range 210 {
		events := make([]eventlog.Event, 100)
		for i := range events {
			events[i] = eventlog.Event{ID: uuid.New(), Type: "machine.enabled/v1", Time: time.Now(), Data: []byte(`{}`)}
		}
		_, err := f.log.Append(t.Context(), "machine/"+uuid.NewString(), eventlog.NoStream, events...)
		require.NoError(t, err)
	}
	require.NoError(t, f.engine.CatchUp(t.Context()))
	f.do(domain.ApplyEnvironment{Name: "last"})
	defined := explain.EventFilter{Type: "EnvironmentDefined"}
	require.Len(t, f.filtered(query.EventQuery{Limit: 500, Filter: defined}), 3)
	newest := func(limit int) (about []string) {
		list, err := f.Events(t.Context(), query.EventQuery{Limit: limit, Filter: defined, Newest: true})
		require.NoError(t, err)
		require.Empty(t, list.Next)
		for _, e := range list.Items {
			about = append(about, e.Stream)
		}
		return about
	}
	require.Equal(t, []string{"environment/last"}, newest(1))
	require.Equal(t, []string{"environment/production", "environment/last"}, newest(2), "it is the end, in log order")
	require.Equal(t, []string{"environment/first", "environment/production", "environment/last"}, newest(9))
	list, err := f.Events(t.Context(), query.EventQuery{Limit: 2, Newest: true})
	require.NoError(t, err)
	require.Equal(t, "environment/last", list.Items[1].Stream)

	defined.Since = time.Now().Add(-time.Hour)
	require.Len(t, f.filtered(query.EventQuery{Limit: 500, Filter: defined}), 3, "all events are newer")
	defined.Since = time.Now().Add(time.Hour)
	require.Empty(t, f.filtered(query.EventQuery{Limit: 500, Filter: defined}))
}
