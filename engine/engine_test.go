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

// handClock is a clock that a test moves.
type handClock struct{ now time.Duration }

func (c *handClock) Now() time.Time         { return time.Date(2026, 1, 1, 9, 0, 0, 0, time.UTC).Add(c.now) }
func (c *handClock) Elapsed() time.Duration { return c.now }

// yard is one server on a log in memory, with what a test says to it.
type yard struct {
	t     *testing.T
	clock *handClock
	log   *memory.Log
	*engine.Engine
	next byte
}

func newYard(t *testing.T) *yard {
	y := &yard{t: t, clock: &handClock{}, log: memory.New()}
	y.Engine = y.server(1)
	return y
}

func (y *yard) server(n byte) *engine.Engine {
	e, err := engine.Open(context.Background(), engine.Config{Log: y.log, Clock: y.clock, Server: domain.ID{15: n}})
	require.NoError(y.t, err)
	require.NoError(y.t, e.Start(context.Background()))
	return e
}

func (y *yard) id() domain.ID { y.next++; return domain.ID{0: 0xc0, 15: y.next} }

func (y *yard) do(c domain.Command) engine.Result {
	y.t.Helper()
	r, err := y.Handle(context.Background(), y.id(), c)
	require.NoError(y.t, err)
	_, err = y.React(context.Background())
	require.NoError(y.t, err)
	return r
}

func (y *yard) tick() engine.Report {
	y.t.Helper()
	r, err := y.Tick(context.Background())
	require.NoError(y.t, err)
	return r
}

// shop is a project with a release, an environment and a trigger for all that is available there.
func (y *yard) shop() {
	y.do(domain.ApplyEnvironment{Name: "production"})
	steps := []domain.Step{{Name: "install", Run: "true"}}
	y.do(domain.ApplyProject{Name: "shop", Settings: domain.ProjectSettings{Steps: steps}})
	y.do(domain.ApplyTrigger{Project: "shop", Name: "joins", Settings: domain.TriggerSettings{
		Events: []domain.Category{domain.AvailableGroup}, Environments: []string{"production"}}})
	y.do(domain.CreateRelease{Project: "shop", Version: "1.0"})
}

func (y *yard) join(name string, n byte) {
	y.do(domain.ApplyMachine{Name: name, Environment: "production"})
	y.do(domain.ConnectMachine{Name: name, Server: y.Server(), Session: domain.ID{1: n}, Instance: domain.ID{2: n}})
}

// work claims what the machine is offered and ends it; it says whether there was anything.
func (y *yard) work(name string, state domain.PartState) bool {
	y.t.Helper()
	var part *projections.Part
	var m domain.Machine
	y.Read(func(v *projections.View) { part, m = rollout.Work(v, name), v.Machines[name].Machine })
	if part == nil {
		return false
	}
	y.do(domain.ClaimPart{Deployment: part.Deployment.ID, Machine: name, Session: m.Session, Instance: m.Instance})
	y.do(domain.EndPart{Deployment: part.Deployment.ID, Machine: name, Session: m.Session, Instance: m.Instance, State: state})
	return true
}

func (y *yard) actual(name string) (release string) {
	y.Read(func(v *projections.View) { release = v.Actual(v.Projects["shop"], v.Machines[name]) })
	return release
}

func TestAMachineThatJoinsGetsTheEnvironmentsReleaseOnce(t *testing.T) {
	y := newYard(t)
	y.shop()
	y.do(domain.Deploy{Project: "shop", Release: "1.0", Environment: "production"})
	y.join("web-01", 1)
	require.False(t, y.work("web-01", domain.PartSucceeded), "nothing before the tick")
	report := y.tick()
	require.Len(t, report.Verdicts, 1)
	require.True(t, y.work("web-01", domain.PartSucceeded))
	require.Equal(t, "1.0", y.actual("web-01"))
	require.False(t, y.work("web-01", domain.PartSucceeded))
	y.tick()
	require.False(t, y.work("web-01", domain.PartSucceeded), "twice")
}

func TestAFailingMachineIsRetriedWithDelayAndThenLeftAlone(t *testing.T) {
	y := newYard(t)
	y.shop()
	y.do(domain.Deploy{Project: "shop", Release: "1.0", Environment: "production"})
	y.join("web-01", 1)
	tries := 0
	for range 400 {
		y.tick()
		if y.work("web-01", domain.PartFailed) {
			tries++
		}
		y.clock.now += 15 * time.Second
		y.Heard("web-01", y.connect("web-01"))
	}
	require.Equal(t, domain.DefaultAttempts, tries)
	verdicts := y.tick().Verdicts
	require.Len(t, verdicts, 1)
	require.Equal(t, triggers.RetriesExhausted, verdicts[0].Reason)
}

func (y *yard) connect(name string) (id domain.ID) {
	y.Read(func(v *projections.View) { id = v.Machines[name].Connect })
	return id
}

func TestTwoServersThatTickAtOneInstantDeployOnce(t *testing.T) {
	y := newYard(t)
	other := y.server(2)
	y.shop()
	y.do(domain.Deploy{Project: "shop", Release: "1.0", Environment: "production"})
	y.join("web-01", 1)
	ctx := context.Background()
	a, err := y.Begin(ctx)
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
	y.Read(func(v *projections.View) {
		automatic := 0
		for _, d := range v.Deployments {
			if d.Kind == domain.Automatic {
				automatic++
			}
		}
		require.Equal(t, 1, automatic)
	})
}

func TestWhatOthersWriteDuringATickIsInTheNextBatch(t *testing.T) {
	y := newYard(t)
	other := y.server(2)
	y.shop()
	y.do(domain.Deploy{Project: "shop", Release: "1.0", Environment: "production"})
	y.join("web-01", 1)
	ctx := context.Background()
	p, err := y.Begin(ctx)
	require.NoError(t, err)
	p.Decide()
	_, err = other.Handle(ctx, y.id(), domain.ApplyMachine{Name: "web-02", Environment: "production"})
	require.NoError(t, err)
	require.NoError(t, p.Append(ctx))
	report, err := p.Finish(ctx)
	require.NoError(t, err)
	require.Len(t, report.Appended, 1)
	batch := y.tick().Batch
	require.Equal(t, 1, batch.Events, "what the tick itself wrote is not news")
	require.Equal(t, "web-02", batch.Balances()[0].Machine)
}
