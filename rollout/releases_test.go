package rollout_test

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/droverhq/drover/domain"
)

func TestQueuedPartsAreReleasedAsSlotsBecomeFree(t *testing.T) {
	f := newFleet(t, "web-01", "web-02", "web-03", "web-04", "web-05")
	d := f.queue(bounded(2, wide()))
	require.Empty(t, f.decide(), "the first two are released when it is queued")
	f.run(d, domain.PartSucceeded, "web-02")
	require.Equal(t, []domain.Decision{released(d, "web-03")}, f.decide())
	f.run(d, domain.PartFailed, "web-01")
	require.Equal(t, []domain.Decision{released(d, "web-03", "web-04")}, f.decide())
	f.Add("project/shop", f.decide()[0].Events...)
	require.Empty(t, f.decide())
}

func TestDeploymentsInOneEnvironmentShareSlotsAndTheOldestGoesFirst(t *testing.T) {
	f := newFleet(t, "web-01", "web-02", "web-03", "web-04", "web-05", "web-06")
	first := f.queue(bounded(2, narrowed("web-01", "web-02")))
	second := f.queue(bounded(2, narrowed("web-03", "web-04")))
	third := f.queue(bounded(3, narrowed("web-05", "web-06")))
	require.Equal(t, domain.PartQueued, f.Deployments[second].Parts["web-03"].State)
	require.Equal(t, domain.PartReleased, f.Deployments[third].Parts["web-05"].State,
		"its own maxParallel allows one more")

	f.run(first, domain.PartSucceeded, "web-01")
	require.Equal(t, []domain.Decision{released(third, "web-06")}, f.decide(),
		"two of two slots are taken for the second, two of three for the third")
	f.run(third, domain.PartSucceeded, "web-05")
	require.Equal(t, []domain.Decision{released(second, "web-03"), released(third, "web-06")}, f.decide(),
		"one part is running: the second gets one slot, and one is left for the third")
	f.run(first, domain.PartSucceeded, "web-02")
	require.Equal(t, []domain.Decision{finished(first, domain.DeploymentSucceeded, ""),
		released(second, "web-03", "web-04"), released(third, "web-06")}, f.decide())
}

func TestSlotOfAnOlderDeploymentIsNotAssignedTwice(t *testing.T) {
	f := newFleet(t, "web-01", "web-02", "web-03", "web-04", "web-05", "web-06", "web-07")
	first := f.queue(bounded(3, narrowed("web-01", "web-02", "web-03")))
	second := f.queue(bounded(3, automatic("web-04", "web-05")))
	third := f.queue(bounded(3, narrowed("web-06", "web-07")))
	f.run(first, domain.PartSucceeded, "web-01")
	require.Equal(t, []domain.Decision{released(second, "web-04")}, f.decide())
	f.run(first, domain.PartSucceeded, "web-02", "web-03")
	require.Equal(t, []domain.Decision{finished(first, domain.DeploymentSucceeded, ""),
		released(second, "web-04", "web-05"), released(third, "web-06")}, f.decide())
}

func TestEachEnvironmentHasItsOwnSlots(t *testing.T) {
	f := newFleet(t, "web-01", "web-02")
	f.Add("environment/staging", domain.EnvironmentDefined{})
	for _, name := range []string{"lab-01", "lab-02"} {
		f.Join(name)
		f.Add("machine/"+name, domain.MachineChanged{Environment: "staging"})
	}
	production := f.queue(bounded(1, wide()))
	queued := bounded(1, wide())
	queued.Environment = "staging"
	staging := f.queue(queued)
	f.run(production, domain.PartSucceeded, "web-01")
	f.run(staging, domain.PartSucceeded, "lab-01")
	require.Equal(t, []domain.Decision{released(production, "web-02"), released(staging, "lab-02")}, f.decide())
}

func TestWithdrawnPartIsNotReleasedInTheSamePass(t *testing.T) {
	f := newFleet(t, "web-01", "web-02", "web-03")
	d := f.queue(bounded(1, automatic("web-01", "web-02", "web-03")))
	f.run(d, domain.PartSucceeded, "web-01")
	f.Disconnect("web-02")
	require.Equal(t, []domain.Decision{withdrawn(d, domain.MachineIsOffline, "web-02"), released(d, "web-03")},
		f.decide())
	for _, decision := range f.decide() {
		f.Add(decision.Stream, decision.Events...)
	}
	require.Empty(t, f.decide())
}

func TestPartsThatEndedBeforeTheirTurnAreSkipped(t *testing.T) {
	f := newFleet(t, "web-01", "web-02", "web-03", "web-04", "web-05")
	d := f.queue(bounded(2, narrowed("web-01", "web-02", "web-03", "web-04", "web-05")))
	later := f.queue(narrowed("web-04"))
	f.run(later, domain.PartSucceeded, "web-04")
	f.run(d, domain.PartSucceeded, "web-01", "web-02")
	require.Equal(t, []domain.Decision{finished(later, domain.DeploymentSucceeded, ""),
		released(d, "web-03", "web-05")}, f.decide())
}

func TestOneDecisionReleasesAtMostTheNumberOfMachinesThatADeploymentMayName(t *testing.T) {
	const more = domain.MaxNamedMachines + 1
	var first, second []string
	for i := range more {
		first, second = append(first, fmt.Sprintf("a-%03d", i)), append(second, fmt.Sprintf("b-%03d", i))
	}
	f := newFleet(t, append(first, second...)...)
	older := f.queue(bounded(more, narrowed(first...)))
	d := f.queue(bounded(more, narrowed(second...)))
	f.Add("project/shop", domain.DeploymentCancelled{Deployment: older},
		domain.DeploymentEnded{Deployment: older, State: domain.DeploymentCancelledState})
	require.Equal(t, []domain.Decision{released(d, second[:domain.MaxNamedMachines]...)}, f.decide())
}

func TestNothingIsSkippedOrEndedWhileTheProjectIsSetAside(t *testing.T) {
	f := newFleet(t, "web-01", "web-02")
	f.queue(narrowed("web-01"))
	f.Project("blog", settings)
	blog := f.Add("project/blog", narrowed("web-02"))
	f.Disconnect("web-01")
	f.Disconnect("web-02")
	f.SetAsideStream("project/shop")
	skip := ended(blog, "web-02", domain.PartSkipped, domain.MachineIsOffline)
	skip.Events = []domain.Event{domain.PartEnded{Project: "blog", State: domain.PartSkipped,
		Reason: domain.MachineIsOffline}}
	require.Equal(t, []domain.Decision{skip}, f.decide(), "other projects continue")
}

func TestProjectsAreDecidedInQueueOrderOfTheirOldestDeployments(t *testing.T) {
	f := newFleet(t, "web-01")
	f.Project("blog", settings)
	var streams []string
	for _, project := range []string{"shop", "blog", "shop"} {
		queued := wide()
		queued.Environment = "nowhere"
		f.Add(domain.ProjectStream(project), queued)
	}
	for _, d := range f.decide() {
		streams = append(streams, d.Stream)
	}
	require.Equal(t, []string{"project/shop", "project/shop", "project/blog"}, streams)
}
