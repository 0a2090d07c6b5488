package projections_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/droverhq/drover/domain"
	"github.com/droverhq/drover/eventlog"
	"github.com/droverhq/drover/projections"
)

// book folds facts that a test writes.
type book struct {
	t testing.TB
	*projections.View
}

func (b *book) now(stream string, facts ...domain.Event) (last domain.ID) {
	b.t.Helper()
	for _, fact := range facts {
		name, data, err := domain.Encode(fact)
		require.NoError(b.t, err)
		position := b.Position + 1
		last = domain.ID{0: 0xe0, 13: byte(position >> 16), 14: byte(position >> 8), 15: byte(position)}
		require.NotNil(b.t, b.Apply(eventlog.Recorded{Stream: stream, Revision: b.Revision(stream) + 1, Position: position,
			Event: eventlog.Event{ID: uuid.UUID(last), Type: name, Data: data, Time: time.Unix(int64(position), 0).UTC()}}), "%s is folded", name)
	}
	return last
}

// works lets a machine claim its part and end it.
func (b *book) works(d domain.ID, machine string, end domain.PartEnded) {
	m := b.Machines[machine]
	end.Project, end.Session = "shop", m.Session
	b.now(domain.PartStream(d, machine), domain.PartClaimed{Project: "shop", Session: m.Session, Instance: m.Instance}, end)
}

// narrowed is a person's deployment to machines that has ended.
func (b *book) narrowed(end domain.PartEnded, machines ...string) domain.ID {
	queued := domain.DeploymentQueued{Kind: domain.Narrowed, Environment: "production", Release: "1.0"}
	for _, name := range machines {
		queued.Machines = append(queued.Machines, domain.DeploymentMachine{Name: name})
	}
	d := b.now("project/shop", queued)
	for _, name := range machines {
		b.works(d, name, end)
	}
	state := domain.DeploymentSucceeded
	if end.State != domain.PartSucceeded {
		state = domain.DeploymentFailed
	}
	b.now("project/shop", domain.DeploymentEnded{Deployment: d, State: state})
	return d
}

func newBook(t testing.TB, machines int) *book {
	b := &book{t, projections.New()}
	b.now("environment/production", domain.EnvironmentDefined{})
	b.now("project/shop", domain.ProjectDefined{}, domain.ReleaseCreated{Version: "1.0"})
	for n := range machines {
		b.now(fmt.Sprintf("machine/web-%02d", n), domain.MachineAdded{Environment: "production"},
			domain.MachineCameOnline{Session: domain.ID{1: byte(n), 3: byte(n >> 8)}, Instance: domain.ID{2: byte(n), 3: byte(n >> 8)}})
	}
	return b
}

var succeeded = domain.PartEnded{State: domain.PartSucceeded}

func TestTheLastHundredDeploymentsOfAProjectStayAndOlderOnesGo(t *testing.T) {
	b := newBook(t, 1)
	var all []domain.ID
	for range projections.KeptDeployments + 50 {
		all = append(all, b.narrowed(succeeded, "web-00"))
	}
	require.Len(t, b.Deployments, projections.KeptDeployments)
	for i, id := range all {
		ended, forgotten := b.Forgotten(id)
		require.Equal(t, i < 50, forgotten, "deployment %d", i)
		require.Equal(t, i < 50, ended.Ended > 0)
		require.Equal(t, i >= 50, b.Deployments[id] != nil)
		require.Equal(t, i >= 50, b.Revision(domain.PartStream(id, "web-00")) >= 0, "nobody may append to its parts")
	}
}

func TestWhatTheEngineDeploysDoesNotPushOutWhatPeopleDid(t *testing.T) {
	b := newBook(t, 1)
	b.now("project/shop", domain.TriggerDefined{Trigger: "joins", Settings: domain.TriggerSettings{Events: []domain.Category{domain.AvailableGroup}, Environments: []string{"production"}}})
	b.now("project/shop", domain.PinSet{Environment: "production", Release: "1.0"})
	person := b.narrowed(succeeded, "web-00")
	for range 3 * projections.KeptDeployments {
		d := b.now("project/shop", domain.DeploymentQueued{Kind: domain.Automatic, Environment: "production", Release: "1.0",
			Machines: []domain.DeploymentMachine{{Name: "web-00", Triggers: []string{"joins"}}}})
		b.works(d, "web-00", succeeded)
		b.now("project/shop", domain.DeploymentEnded{Deployment: d, State: domain.DeploymentSucceeded})
	}
	require.NotNil(t, b.Deployments[person])
	require.Len(t, b.Deployments, 1+projections.KeptDeployments)
}

// TestADeploymentStaysWhileSomethingGoesBackToIt: each case leaves something behind that a later decision asks for.
func TestADeploymentStaysWhileSomethingGoesBackToIt(t *testing.T) {
	for name, c := range map[string]struct {
		leave func(b *book) domain.ID
		end   func(b *book)
	}{
		"the last attempt on a machine": {
			func(b *book) domain.ID { return b.narrowed(succeeded, "web-01") },
			func(b *book) { b.narrowed(succeeded, "web-01") }},
		"the hold that a failure left": {
			func(b *book) domain.ID { return b.narrowed(domain.PartEnded{State: domain.PartFailed}, "web-01") },
			func(b *book) { b.now("machine/web-01", domain.MachineDeleted{}) }},
		"the hold on a machine that it left out": {
			func(b *book) domain.ID {
				d := b.now("project/shop", domain.DeploymentQueued{Kind: domain.EnvironmentWide, Environment: "production", Release: "1.0", Exclude: []string{"web-01"}})
				b.works(d, "web-00", domain.PartEnded{State: domain.PartFailed})
				b.now("project/shop", domain.DeploymentEnded{Deployment: d, State: domain.DeploymentFailed})
				return d
			},
			func(b *book) { b.now("project/shop", domain.HoldLifted{Machine: "web-01", Reason: domain.Lifted}) }},
		"a part that is open though it is said to have ended": {
			func(b *book) domain.ID {
				d := b.now("project/shop", domain.DeploymentQueued{Kind: domain.Narrowed, Environment: "production", Release: "1.0",
					Machines: []domain.DeploymentMachine{{Name: "web-01"}}})
				b.now("project/shop", domain.DeploymentEnded{Deployment: d, State: domain.DeploymentSucceeded})
				return d
			},
			func(b *book) { b.narrowed(succeeded, "web-01") }},
		"what an environment wants": {
			func(b *book) domain.ID {
				b.now("machine/web-01", domain.MachineDisabled{})
				d := b.now("project/shop", domain.DeploymentQueued{Kind: domain.EnvironmentWide, Environment: "production", Release: "1.0"})
				b.works(d, "web-00", succeeded)
				b.now(domain.PartStream(d, "web-01"), domain.PartEnded{Project: "shop", State: domain.PartSkipped})
				b.now("project/shop", domain.DeploymentEnded{Deployment: d, State: domain.DeploymentSucceeded})
				return d
			},
			func(b *book) { b.now("project/shop", domain.ProjectDeleted{}) }},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBook(t, 2)
			d := c.leave(b)
			others := func() {
				for range 2 * projections.KeptDeployments {
					b.narrowed(succeeded, "web-00")
				}
			}
			others()
			require.NotNil(t, b.Deployments[d])
			c.end(b)
			if b.Projects["shop"] == nil { // the name begins anew, and goes on counting
				b.now("project/shop", domain.ProjectDefined{}, domain.ReleaseCreated{Version: "1.0"})
			}
			others()
			require.Nil(t, b.Deployments[d])
		})
	}
}

func TestAFactOfAForgottenPartLeavesNothingBehind(t *testing.T) {
	b := newBook(t, 1)
	first := b.narrowed(succeeded, "web-00")
	for range 2 * projections.KeptDeployments {
		b.narrowed(succeeded, "web-00")
	}
	require.Nil(t, b.Deployments[first])
	stream := domain.PartStream(first, "web-00")
	b.now(stream, domain.PartClaimed{Project: "shop"})
	require.Equal(t, eventlog.NoStream, b.Revision(stream))
}

func TestTheResultOfALostPartIsTakenDownThoughItsDeploymentIsForgotten(t *testing.T) {
	b := newBook(t, 2)
	lost := b.narrowed(domain.PartEnded{State: domain.PartLost, Reason: domain.NoEndReported}, "web-01")
	b.now("machine/web-01", domain.MachineDeleted{})
	for range 2 * projections.KeptDeployments {
		b.narrowed(succeeded, "web-00")
	}
	require.Nil(t, b.Deployments[lost])
	report := domain.EndPart{Deployment: lost, Machine: "web-01", Instance: domain.ID{2: 1}, State: domain.PartSucceeded}
	facts, rejection := report.Decide(b.World())
	require.Nil(t, rejection)
	require.Len(t, facts, 1)
	b.now(domain.PartStream(lost, "web-01"), facts...)
	facts, rejection = report.Decide(b.World())
	require.Nil(t, rejection)
	require.Empty(t, facts, "once")
}

// BenchmarkLoneDeployments measures a deployment to one machine, from its queueing to its end, of a fleet in which each machine had
// one of its own that stays.
func BenchmarkLoneDeployments(b *testing.B) {
	for _, n := range []int{1_000, 10_000} {
		b.Run(fmt.Sprintf("machines=%d", n), func(b *testing.B) {
			l := newBook(b, n)
			for i := range n {
				l.narrowed(succeeded, fmt.Sprintf("web-%02d", i))
			}
			b.ResetTimer()
			for i := range b.N {
				l.narrowed(succeeded, fmt.Sprintf("web-%02d", i%n))
			}
		})
	}
}
