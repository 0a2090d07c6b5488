package projections_test

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/droverhq/drover/domain"
	"github.com/droverhq/drover/eventlog"
	"github.com/droverhq/drover/projections"
	"github.com/droverhq/drover/projections/projectionstest"
)

// fleet is a history of machines and deployments.
type fleet struct{ *projectionstest.History }

// narrowed adds a person's deployment to machines and ends it.
func (f *fleet) narrowed(end domain.PartState, machines ...string) domain.ID {
	queued := domain.DeploymentQueued{Kind: domain.Narrowed, Environment: "production", Release: "1.0"}
	for _, name := range machines {
		queued.Machines = append(queued.Machines, domain.DeploymentMachine{Name: name})
	}
	d := f.Add("project/shop", queued)
	for _, name := range machines {
		f.runPart(d, name, end)
	}
	state := domain.DeploymentSucceeded
	if end != domain.PartSucceeded {
		state = domain.DeploymentFailed
	}
	f.Add("project/shop", domain.DeploymentEnded{Deployment: d, State: state})
	return d
}

func newFleet(t testing.TB, machines int) *fleet {
	f := &fleet{projectionstest.New(t)}
	f.Shop(domain.ProjectSettings{})
	for n := range machines {
		f.Join(fmt.Sprintf("web-%02d", n))
	}
	return f
}

// runPart lets a machine claim its part and end it.
func (f *fleet) runPart(d domain.ID, machine string, end domain.PartState) {
	f.Claim(d, machine)
	f.End(d, machine, end, "")
}

func TestLastHundredDeploymentsAreRetainedAndOlderOnesPruned(t *testing.T) {
	f := newFleet(t, 1)
	var all []domain.ID
	for range projections.RetainedDeployments + 50 {
		all = append(all, f.narrowed(domain.PartSucceeded, "web-00"))
	}
	require.Len(t, f.Deployments, projections.RetainedDeployments)
	for i, id := range all {
		ended, pruned := f.Pruned(id)
		require.Equal(t, i < 50, pruned, "deployment %d", i)
		require.Equal(t, i < 50, ended.Ended > 0)
		require.Equal(t, i >= 50, f.Deployments[id] != nil)
		require.Equal(t, i >= 50, f.Revision(domain.PartStream(id, "web-00")) >= 0,
			"the streams of pruned parts have no revision")
	}
}

func TestAutomaticDeploymentsDoNotDisplaceThoseOfPeople(t *testing.T) {
	f := newFleet(t, 1)
	f.Add("project/shop", domain.TriggerDefined{Trigger: "joins",
		Settings: domain.TriggerSettings{Events: []domain.Category{domain.AvailableGroup},
			Environments: []string{"production"}}})
	person := f.narrowed(domain.PartSucceeded, "web-00")
	f.Add("project/shop", domain.HoldLifted{Machine: "web-00", Reason: domain.Lifted})
	for i := range 3 * projections.RetainedDeployments {
		release := []string{"1.1", "1.0"}[i%2] // a machine that has the release would not be deployed to
		f.Add("project/shop", domain.PinSet{Environment: "production", Release: release})
		d := f.Add("project/shop", domain.DeploymentQueued{Kind: domain.Automatic, Environment: "production",
			Release:  release,
			Machines: []domain.DeploymentMachine{{Name: "web-00", Triggers: []string{"joins"}}}})
		f.runPart(d, "web-00", domain.PartSucceeded)
		f.Add("project/shop", domain.DeploymentEnded{Deployment: d, State: domain.DeploymentSucceeded})
	}
	require.NotNil(t, f.Deployments[person])
	require.Len(t, f.Deployments, 1+projections.RetainedDeployments)
}

// Each case leaves something that a later decision uses.
func TestReferencedDeploymentIsRetained(t *testing.T) {
	for name, c := range map[string]struct {
		leave func(f *fleet) domain.ID
		end   func(f *fleet)
	}{
		"the last attempt on a machine": {
			func(f *fleet) domain.ID { return f.narrowed(domain.PartSucceeded, "web-01") },
			func(f *fleet) { f.narrowed(domain.PartSucceeded, "web-01") }},
		"the hold that a failure left": {
			func(f *fleet) domain.ID { return f.narrowed(domain.PartFailed, "web-01") },
			func(f *fleet) { f.Add("machine/web-01", domain.MachineDeleted{}) }},
		"the hold on an excluded machine": {
			func(f *fleet) domain.ID {
				d := f.Add("project/shop", domain.DeploymentQueued{Kind: domain.EnvironmentWide,
					Environment: "production", Release: "1.0", Exclude: []string{"web-01"}})
				f.runPart(d, "web-00", domain.PartFailed)
				f.Add("project/shop", domain.DeploymentEnded{Deployment: d, State: domain.DeploymentFailed})
				return d
			},
			func(f *fleet) { f.Add("project/shop", domain.HoldLifted{Machine: "web-01", Reason: domain.Lifted}) }},
		"an open part of an ended deployment": {
			func(f *fleet) domain.ID {
				d := f.Add("project/shop", domain.DeploymentQueued{Kind: domain.Narrowed, Environment: "production",
					Release:  "1.0",
					Machines: []domain.DeploymentMachine{{Name: "web-01"}}})
				f.Add("project/shop", domain.DeploymentEnded{Deployment: d, State: domain.DeploymentSucceeded})
				return d
			},
			func(f *fleet) { f.narrowed(domain.PartSucceeded, "web-01") }},
		"what an environment wants": {
			func(f *fleet) domain.ID {
				f.Add("machine/web-01", domain.MachineDisabled{})
				d := f.Add("project/shop", domain.DeploymentQueued{Kind: domain.EnvironmentWide,
					Environment: "production", Release: "1.0"})
				f.runPart(d, "web-00", domain.PartSucceeded)
				f.End(d, "web-01", domain.PartSkipped, "")
				f.Add("project/shop", domain.DeploymentEnded{Deployment: d, State: domain.DeploymentSucceeded})
				return d
			},
			func(f *fleet) { f.Add("project/shop", domain.ProjectDeleted{}) }},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFleet(t, 2)
			d := c.leave(f)
			others := func() {
				for range 2 * projections.RetainedDeployments {
					f.narrowed(domain.PartSucceeded, "web-00")
				}
			}
			others()
			require.NotNil(t, f.Deployments[d])
			c.end(f)
			if f.Projects["shop"] == nil { // the name starts empty, but its count continues
				f.Project("shop", domain.ProjectSettings{})
			}
			others()
			require.Nil(t, f.Deployments[d])
		})
	}
}

func TestFactOfAPrunedPartLeavesNoState(t *testing.T) {
	f := newFleet(t, 1)
	first := f.narrowed(domain.PartSucceeded, "web-00")
	for range 2 * projections.RetainedDeployments {
		f.narrowed(domain.PartSucceeded, "web-00")
	}
	require.Nil(t, f.Deployments[first])
	stream := domain.PartStream(first, "web-00")
	f.Add(stream, domain.PartClaimed{Project: "shop"})
	require.Equal(t, eventlog.NoStream, f.Revision(stream))
}

func TestResultOfALostPartIsRecordedAfterItsDeploymentWasPruned(t *testing.T) {
	f := newFleet(t, 2)
	lost := f.narrowed(domain.PartLost, "web-01")
	instance := f.Machines["web-01"].Instance
	f.Add("machine/web-01", domain.MachineDeleted{})
	for range 2 * projections.RetainedDeployments {
		f.narrowed(domain.PartSucceeded, "web-00")
	}
	require.Nil(t, f.Deployments[lost])
	report := domain.EndPart{Deployment: lost, Machine: "web-01", Instance: instance, State: domain.PartSucceeded}
	facts, rejection := report.Decide(f.World())
	require.Nil(t, rejection)
	require.Len(t, facts, 1)
	f.Add(domain.PartStream(lost, "web-01"), facts...)
	facts, rejection = report.Decide(f.World())
	require.Nil(t, rejection)
	require.Empty(t, facts, "the report is recorded once")
}

func TestUnreferencedDeploymentsArePrunedBeforeAsManyHaveEnded(t *testing.T) {
	const machines = 30
	f := newFleet(t, machines)
	f.Retain = 1
	for n := range machines {
		f.narrowed(domain.PartSucceeded, fmt.Sprintf("web-%02d", n))
	}
	require.Len(t, f.Deployments, machines, "each is the last one of its machine")
	for n := 1; n < machines; n++ {
		f.Add(fmt.Sprintf("machine/web-%02d", n), domain.MachineDeleted{})
	}
	for range machines {
		f.narrowed(domain.PartSucceeded, "web-00")
	}
	require.Len(t, f.Deployments, f.Retain)
}

func TestLastAutomaticAttemptOnAMachineIsRetained(t *testing.T) {
	h := projectionstest.OneMachine(t)
	h.Join("web-02")
	h.Retain = 1
	d := h.Attempt("web-01", "1.0", domain.PartFailed, "")
	for range 5 {
		h.Attempt("web-02", "1.0", domain.PartFailed, "")
	}
	require.NotNil(t, h.Deployments[d])
	require.Equal(t, "1.0", h.World().Unfinished("shop", "web-01"))
	last := h.Attempt("web-01", "1.0", domain.PartFailed, "")
	for range 5 {
		h.Attempt("web-02", "1.0", domain.PartFailed, "")
	}
	require.Nil(t, h.Deployments[d])
	require.NotNil(t, h.Deployments[last])
}

func TestOnlyAPartThatStartedIsAwaitedAfterItsDeploymentWasPruned(t *testing.T) {
	f := newFleet(t, 3)
	d := f.Add("project/shop", domain.DeploymentQueued{Kind: domain.Narrowed, Environment: "production", Release: "1.0",
		Machines: []domain.DeploymentMachine{{Name: "web-01"}, {Name: "web-02"}}})
	f.runPart(d, "web-01", domain.PartLost)
	f.End(d, "web-02", domain.PartSkipped, "")
	f.Add("project/shop", domain.DeploymentEnded{Deployment: d, State: domain.DeploymentFailed})
	for n := range 3 {
		f.Add(fmt.Sprintf("machine/web-%02d", n), domain.MachineDeleted{Origin: domain.By("ann")})
	}
	f.Join("web-00")
	for range 2 * projections.RetainedDeployments {
		f.narrowed(domain.PartSucceeded, "web-00")
	}
	require.Nil(t, f.Deployments[d])
	require.Nil(t, f.World().Part(d, "web-02"))
	require.Equal(t, eventlog.NoStream, f.Revision(domain.PartStream(d, "web-02")))
	part := f.World().Part(d, "web-01")
	require.Equal(t, "shop", part.Project)
	require.True(t, part.Claimed)
	stream := domain.PartStream(d, "web-01")
	f.Add(stream, domain.PartClaimed{Project: "shop"}, domain.PartEnded{Project: "shop", State: domain.PartLost})
	require.False(t, part.Reported, "not a result of its agent")
	f.Add(stream, domain.PartEnded{Project: "shop", State: domain.PartFailed})
	require.True(t, part.Reported)
}

func TestNumberOfAwaitedResultsIsBounded(t *testing.T) {
	const most = 1000
	f := newFleet(t, most+3)
	f.Retain = 0
	var lost []string
	for n := 1; n < most+3; n++ {
		lost = append(lost, fmt.Sprintf("web-%02d", n))
	}
	awaited := func(d domain.ID, machine string) bool {
		part := f.World().Part(d, machine)
		require.Equal(t, part != nil, f.Revision(domain.PartStream(d, machine)) != eventlog.NoStream)
		return part != nil
	}
	first := f.narrowed(domain.PartLost, lost[:2]...)
	others := f.narrowed(domain.PartLost, lost[2:]...)
	for _, name := range lost {
		f.Add(domain.MachineStream(name), domain.MachineDeleted{Origin: domain.By("ann")})
	}
	f.narrowed(domain.PartSucceeded, "web-00")
	require.Nil(t, f.Deployments[others])
	for _, name := range lost[:2] {
		require.False(t, awaited(first, name), "one of the oldest")
	}
	for _, name := range lost[2:] {
		require.True(t, awaited(others, name), name)
	}
}

// BenchmarkLoneDeployments measures a deployment to one machine, from queued to ended. Each machine of the fleet has
// its own retained deployment.
func BenchmarkLoneDeployments(b *testing.B) {
	for _, n := range []int{1_000, 10_000} {
		b.Run(fmt.Sprintf("machines=%d", n), func(b *testing.B) {
			f := newFleet(b, n)
			for i := range n {
				f.narrowed(domain.PartSucceeded, fmt.Sprintf("web-%02d", i))
			}
			b.ResetTimer()
			for i := range b.N {
				f.Log = f.Log[:0] // only the view is measured
				f.narrowed(domain.PartSucceeded, fmt.Sprintf("web-%02d", i%n))
			}
		})
	}
}
