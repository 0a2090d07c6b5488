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
	for event, err := range f.FollowEvents(ctx, nil, 0) {
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
	for _, err := range f.FollowEvents(ctx, nil, f.Position()) {
		last = err
	}
	require.ErrorIs(t, last, context.Canceled)
	for _, err := range f.FollowEvents(t.Context(), nil, f.Position()+5) {
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
