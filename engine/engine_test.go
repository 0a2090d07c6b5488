package engine_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/droverhq/drover/domain"
	"github.com/droverhq/drover/engine"
	"github.com/droverhq/drover/eventlog/memory"
	"github.com/droverhq/drover/projections"
	"github.com/droverhq/drover/rollout"
	"github.com/droverhq/drover/triggers"
)

// manualClock is a clock that a test advances.
type manualClock struct{ now time.Duration }

func (c *manualClock) Now() time.Time         { return time.Date(2026, 1, 1, 9, 0, 0, 0, time.UTC).Add(c.now) }
func (c *manualClock) Elapsed() time.Duration { return c.now }

// fixture is one server on a log in memory.
type fixture struct {
	t     *testing.T
	clock *manualClock
	log   *memory.Log
	*engine.Engine
	next byte
}

func newFixture(t *testing.T) *fixture {
	f := &fixture{t: t, clock: &manualClock{}, log: memory.New()}
	f.Engine = f.server(1)
	return f
}

func (f *fixture) server(n byte) *engine.Engine {
	e, err := engine.Open(context.Background(), engine.Config{Log: f.log, Clock: f.clock, Server: domain.ID{15: n}})
	require.NoError(f.t, err)
	require.NoError(f.t, e.Start(context.Background()))
	return e
}

func (f *fixture) id() domain.ID { f.next++; return domain.ID{0: 0xc0, 15: f.next} }

func (f *fixture) do(c domain.Command) engine.Result {
	f.t.Helper()
	r, err := f.Handle(context.Background(), f.id(), c)
	require.NoError(f.t, err)
	_, err = f.React(context.Background())
	require.NoError(f.t, err)
	return r
}

func (f *fixture) tick() engine.Report {
	f.t.Helper()
	r, err := f.Tick(context.Background())
	require.NoError(f.t, err)
	return r
}

// shop defines a project with a release, an environment and a trigger for machines that become available.
func (f *fixture) shop() {
	f.do(domain.ApplyEnvironment{Name: "production"})
	steps := []domain.Step{{Name: "install", Run: "true"}}
	f.do(domain.ApplyProject{Name: "shop", Settings: domain.ProjectSettings{Steps: steps}})
	f.do(domain.ApplyTrigger{Project: "shop", Name: "joins", Settings: domain.TriggerSettings{
		Events: []domain.Category{domain.AvailableGroup}, Environments: []string{"production"}}})
	f.do(domain.CreateRelease{Project: "shop", Version: "1.0"})
}

func (f *fixture) join(name string, n byte) { f.joinAt(f.Server(), name, n) }

// joinAt adds a machine and connects its agent to a server.
func (f *fixture) joinAt(server domain.ID, name string, n byte) {
	f.do(domain.ApplyMachine{Name: name, Environment: "production"})
	f.do(domain.ConnectMachine{Name: name, Server: server, Session: domain.ID{1: n}, Instance: domain.ID{2: n}})
}

// work claims and ends the part that the machine is offered. It reports whether there was one.
func (f *fixture) work(name string, state domain.PartState) bool {
	f.t.Helper()
	var part *projections.Part
	var m domain.Machine
	f.Read(func(v *projections.View) { part, m = rollout.Work(v, name), v.Machines[name].Machine })
	if part == nil {
		return false
	}
	f.do(domain.ClaimPart{Deployment: part.Deployment.ID, Machine: name, Session: m.Session, Instance: m.Instance})
	f.do(domain.EndPart{Deployment: part.Deployment.ID, Machine: name, Session: m.Session, Instance: m.Instance,
		State: state})
	return true
}

func (f *fixture) actual(name string) (release string) {
	f.Read(func(v *projections.View) { release = v.Actual(v.Projects["shop"], v.Machines[name]) })
	return release
}

func TestJoiningMachineGetsTheEnvironmentsReleaseOnce(t *testing.T) {
	f := newFixture(t)
	f.shop()
	f.do(domain.Deploy{Project: "shop", Release: "1.0", Environment: "production"})
	f.join("web-01", 1)
	require.False(t, f.work("web-01", domain.PartSucceeded), "nothing is offered before the tick")
	report := f.tick()
	require.Len(t, report.Verdicts, 1)
	require.True(t, f.work("web-01", domain.PartSucceeded))
	require.Equal(t, "1.0", f.actual("web-01"))
	require.False(t, f.work("web-01", domain.PartSucceeded))
	f.tick()
	require.False(t, f.work("web-01", domain.PartSucceeded), "it is deployed to once")
}

func TestFailingMachineIsRetriedWithDelayAndThenLeftAlone(t *testing.T) {
	f := newFixture(t)
	f.shop()
	f.do(domain.Deploy{Project: "shop", Release: "1.0", Environment: "production"})
	f.join("web-01", 1)
	tries := 0
	for range 400 {
		f.tick()
		if f.work("web-01", domain.PartFailed) {
			tries++
		}
		f.clock.now += 15 * time.Second
		f.Heartbeat("web-01", f.connect("web-01"))
	}
	require.Equal(t, domain.DefaultAttempts, tries)
	verdicts := f.tick().Verdicts
	require.Len(t, verdicts, 1)
	require.Equal(t, triggers.RetriesExhausted, verdicts[0].Reason)
}

func (f *fixture) connect(name string) (id domain.ID) {
	f.Read(func(v *projections.View) { id = v.Machines[name].Connect })
	return id
}

func TestConcurrentTicksOfTwoServersDeployOnce(t *testing.T) {
	f := newFixture(t)
	other := f.server(2)
	f.shop()
	f.do(domain.Deploy{Project: "shop", Release: "1.0", Environment: "production"})
	f.join("web-01", 1)
	ctx := context.Background()
	a, err := f.Begin(ctx)
	require.NoError(t, err)
	b, err := other.Begin(ctx)
	require.NoError(t, err)
	a.Decide()
	b.Decide()
	require.NoError(t, a.Append(ctx))
	require.NoError(t, b.Append(ctx))
	_, err = a.Finish(ctx)
	require.NoError(t, err)
	_, err = b.Finish(ctx)
	require.NoError(t, err)
	f.Read(func(v *projections.View) {
		automatic := 0
		for _, d := range v.Deployments {
			if d.Kind == domain.Automatic {
				automatic++
			}
		}
		require.Equal(t, 1, automatic)
	})
}

func TestEventsAppendedDuringATickAreInTheNextBatch(t *testing.T) {
	f := newFixture(t)
	other := f.server(2)
	f.shop()
	f.do(domain.Deploy{Project: "shop", Release: "1.0", Environment: "production"})
	f.join("web-01", 1)
	ctx := context.Background()
	p, err := f.Begin(ctx)
	require.NoError(t, err)
	p.Decide()
	_, err = other.Handle(ctx, f.id(), domain.ApplyMachine{Name: "web-02", Environment: "production"})
	require.NoError(t, err)
	require.NoError(t, p.Append(ctx))
	report, err := p.Finish(ctx)
	require.NoError(t, err)
	require.Len(t, report.Appended, 1)
	batch := f.tick().Batch
	require.Equal(t, 1, batch.Events, "the tick's own events are not in the batch")
	require.Equal(t, "web-02", batch.Balances()[0].Machine)
}
