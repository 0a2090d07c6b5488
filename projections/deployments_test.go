package projections_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/droverhq/drover/domain"
	"github.com/droverhq/drover/projections"
	"github.com/droverhq/drover/projections/projectionstest"
)

// wide queues an environment-wide deployment of release 1.0 by a person.
func wide(h *projectionstest.History, environment string, parallel int) *projections.Deployment {
	d := h.Add("project/shop", domain.DeploymentQueued{Kind: domain.EnvironmentWide, Environment: environment,
		Release: "1.0", MaxParallel: domain.Count(parallel), Origin: domain.By("ann")})
	return h.Deployments[d]
}

// shopOn returns a history with project shop and these machines in production.
func shopOn(t *testing.T, machines ...string) *projectionstest.History {
	h := projectionstest.New(t)
	h.Shop(domain.ProjectSettings{Steps: []domain.Step{{Name: "a", Run: "b"}}})
	h.Join(machines...)
	return h
}

func TestOpenRolloutConcernsOnlyItsEnvironment(t *testing.T) {
	h := shopOn(t, "web-01")
	h.Add("environment/staging", domain.EnvironmentDefined{})
	wide(h, "staging", 0)
	shop := h.Projects["shop"]
	require.True(t, shop.HasOpenWide("staging"))
	require.False(t, shop.HasOpenWide("production"))
	require.False(t, h.PersonDeploys(shop, h.Machines["web-01"]))
}

func TestRolloutOfADeletedEnvironmentDoesNotConcernItsSuccessor(t *testing.T) {
	h := shopOn(t, "web-01")
	d := wide(h, "production", 0)
	h.Claim(d.ID, "web-01")
	h.Add("environment/production", domain.EnvironmentDeleted{}, domain.EnvironmentDefined{})
	require.False(t, d.Ended, "its claimed part finishes")
	require.False(t, h.Projects["shop"].HasOpenWide("production"))
	h.End(d.ID, "web-01", domain.PartSucceeded, "")
	h.Add("project/shop", domain.DeploymentEnded{Deployment: d.ID, State: domain.DeploymentSucceeded})
	require.Empty(t, h.Projects["shop"].WantedIn("production"), "the new environment starts empty")
}

func TestPartsAreReleasedInOrderOfNameWhileSlotsAreFree(t *testing.T) {
	h := shopOn(t, "web-03", "web-01", "web-02", "web-04")
	d := wide(h, "production", 2)
	states := func() (all []domain.PartState) {
		for _, name := range []string{"web-01", "web-02", "web-03", "web-04"} {
			all = append(all, d.Parts[name].State)
		}
		return all
	}
	require.Equal(t, []domain.PartState{"released", "released", "queued", "queued"}, states())
	require.Equal(t, []string{"web-03", "web-04"}, d.Unreleased())
	require.Zero(t, d.FreeSlots())
	require.Equal(t, 2, h.Projects["shop"].Released("production"))

	h.Claim(d.ID, "web-01")
	require.Zero(t, d.FreeSlots(), "a running part keeps its slot")
	h.End(d.ID, "web-01", domain.PartSucceeded, "")
	require.Equal(t, 1, d.FreeSlots())
	require.Equal(t, 3, d.OpenParts())

	h.Add("project/shop", domain.PartsReleased{Deployment: d.ID, Machines: []string{"web-04", "web-01", "web-99"}})
	require.Equal(t, []domain.PartState{"succeeded", "released", "queued", "released"}, states())
	require.Equal(t, []string{"web-03", "web-04"}, d.Unreleased(), "web-03 is still queued")
	h.Add("project/shop", domain.PartsWithdrawn{Deployment: d.ID, Machines: []string{"web-03"}, Reason: domain.NotClaimed})
	require.Empty(t, d.Unreleased())
	require.Equal(t, 2, d.OpenParts())
	require.Equal(t, 2, h.Projects["shop"].Released("production"))
}

func TestSlotsAreCountedPerEnvironmentOverAllDeployments(t *testing.T) {
	h := shopOn(t, "web-01", "web-02")
	narrowed := func(machine string) *projections.Deployment {
		d := h.Add("project/shop", domain.DeploymentQueued{Kind: domain.Narrowed, Environment: "production",
			Release: "1.0", MaxParallel: domain.Count(1), Machines: []domain.DeploymentMachine{{Name: machine}}, Origin: domain.By("ann")})
		return h.Deployments[d]
	}
	first, second := narrowed("web-01"), narrowed("web-02")
	require.Equal(t, domain.PartReleased, first.Parts["web-01"].State)
	require.Equal(t, domain.PartQueued, second.Parts["web-02"].State)
}

func TestNameThatIsListedTwiceIsOnePart(t *testing.T) {
	h := shopOn(t, "web-01")
	d := h.Deployments[h.Add("project/shop", domain.DeploymentQueued{Kind: domain.Narrowed, Environment: "production",
		Release: "1.0", Machines: []domain.DeploymentMachine{{Name: "web-01"}, {Name: "web-01"}}, Origin: domain.By("ann")})]
	require.Equal(t, []string{"web-01"}, d.Order)
	require.Equal(t, 1, d.OpenParts())
	require.Len(t, h.OpenPartsOn("web-01"), 1)
}

func TestNewRolloutReplacesUnclaimedPartsOnly(t *testing.T) {
	h := shopOn(t, "web-01", "web-02")
	first := wide(h, "production", 0)
	h.Claim(first.ID, "web-01")
	second := wide(h, "production", 0)
	require.True(t, first.Superseded)
	require.Equal(t, domain.PartRunning, first.Parts["web-01"].State)
	require.Equal(t, domain.PartCancelled, first.Parts["web-02"].State)
	require.Equal(t, domain.Superseded, first.Parts["web-02"].Reason)
	require.False(t, second.Superseded)
	require.Empty(t, second.Parts["web-02"].Replaced, "the older part had already ended as superseded")
}

func TestCancelOfAnEndedDeploymentChangesNothing(t *testing.T) {
	h := shopOn(t, "web-01")
	d := wide(h, "production", 0)
	h.Claim(d.ID, "web-01")
	h.End(d.ID, "web-01", domain.PartSucceeded, "")
	h.Add("project/shop", domain.DeploymentEnded{Deployment: d.ID, State: domain.DeploymentSucceeded},
		domain.DeploymentCancelled{Deployment: d.ID, Origin: domain.By("ann")})
	require.False(t, d.Cancelled)
	require.Empty(t, d.CancelledBy)
	require.Equal(t, domain.DeploymentSucceeded, d.State)
}

func TestFirstReasonForTheCancelOfADeploymentStays(t *testing.T) {
	h := shopOn(t, "web-01")
	d := wide(h, "production", 0)
	h.Claim(d.ID, "web-01")
	h.Add("project/shop", domain.DeploymentCancelled{Deployment: d.ID, Origin: domain.By("ann")})
	require.Equal(t, "ann", d.CancelledBy)
	h.Add("project/shop", domain.ProjectDeleted{})
	require.True(t, d.Cancelled)
	require.Equal(t, domain.DeploymentStopped, d.CancelledFor)
}

func TestDeploymentOfADeletedProjectLeavesNothingForItsSuccessor(t *testing.T) {
	h := projectionstest.OneMachine(t)
	part := startPart(h, "1.0")
	d := part.Deployment.ID
	h.Add("project/shop", domain.ProjectDeleted{})
	h.Project("shop", domain.ProjectSettings{Steps: []domain.Step{{Name: "a", Run: "b"}}})
	h.Add("project/shop", domain.DeploymentCancelled{Deployment: d, Origin: domain.By("ann")})
	require.Empty(t, kinds(h))
	h.End(d, "web-01", domain.PartSucceeded, "")
	h.Add("project/shop", domain.DeploymentEnded{Deployment: d, State: domain.DeploymentSucceeded})
	require.Empty(t, h.Actual(h.Projects["shop"], h.Machines["web-01"]))
	require.Empty(t, h.ProjectsToEvaluate())
	require.Empty(t, h.Inconsistencies())
	require.Nil(t, h.Machines["web-01"].Claimed)
}

func TestRolloutMakesExhaustedMachinesDueAgain(t *testing.T) {
	h := projectionstest.OneMachine(t)
	h.Add("project/shop", domain.ProjectDefined{Settings: domain.ProjectSettings{Attempts: 1,
		Steps: []domain.Step{{Name: "a", Run: "b"}}}}, domain.TriggerDeleted{Trigger: "joins"},
		domain.TriggerDefined{Trigger: "joins", Settings: domain.TriggerSettings{
			Events: []domain.Category{domain.AvailableGroup}, Environments: []string{"*"}}})
	h.Attempt("web-01", "1.0", domain.PartFailed, "")
	h.Add("project/shop", domain.TriggerDisabled{Trigger: "joins"})
	shop := h.Projects["shop"]
	require.Empty(t, shop.Sweep(), "no attempts are left")
	wide(h, "production", 0)
	require.Equal(t, []string{"web-01"}, shop.Sweep())
	require.Empty(t, h.Inconsistencies())
}

func TestNewcomersWantTheReleaseOfARolloutThatEnds(t *testing.T) {
	h := shopOn(t, "web-01")
	d := wide(h, "production", 0)
	h.Join("web-02")
	h.Claim(d.ID, "web-01")
	h.End(d.ID, "web-01", domain.PartSucceeded, "")
	require.Empty(t, h.Projects["shop"].Sweep())
	h.Add("project/shop", domain.DeploymentEnded{Deployment: d.ID, State: domain.DeploymentSucceeded})
	require.Equal(t, []string{"web-02"}, h.Projects["shop"].Sweep())
	require.Empty(t, h.Inconsistencies())
}

func TestPercentageOfSlotsIsOneOfTheMachinesWhenItWasQueued(t *testing.T) {
	h := shopOn(t, "web-01", "web-02", "web-03", "web-04", "web-05")
	queue := func(percent int, machines ...domain.DeploymentMachine) *projections.Deployment {
		kind := domain.EnvironmentWide
		if len(machines) > 0 {
			kind = domain.Narrowed
		}
		return h.Deployments[h.Add("project/shop", domain.DeploymentQueued{Kind: kind, Environment: "production",
			Release: "1.0", MaxParallel: domain.Percent(percent), Machines: machines, Origin: domain.By("ann")})]
	}
	wide := queue(50)
	require.Equal(t, 2, h.Projects["shop"].Released("production"))
	require.Zero(t, wide.FreeSlots())
	h.Join("web-06", "web-07", "web-08")
	require.Equal(t, 2, wide.Slots())
	require.Equal(t, 1, queue(1, domain.DeploymentMachine{Name: "web-06"}).Slots(), "a percentage leaves at least one slot")
}

func TestToleratedFailureIsTheFirstAttemptAndLeavesNoHold(t *testing.T) {
	for name, c := range map[string]struct {
		kind     domain.DeploymentKind
		release  string
		state    domain.DeploymentState
		held     bool
		attempts int
	}{
		"environment-wide":                {domain.EnvironmentWide, "1.0", domain.DeploymentSucceeded, false, 1},
		"environment-wide and failed":     {domain.EnvironmentWide, "1.0", domain.DeploymentFailed, true, 0},
		"narrowed to the wanted release":  {domain.Narrowed, "1.0", domain.DeploymentSucceeded, false, 1},
		"narrowed to an unwanted release": {domain.Narrowed, "1.1", domain.DeploymentSucceeded, true, 0},
	} {
		t.Run(name, func(t *testing.T) {
			h := shopOn(t, "web-01")
			h.Release("shop", "1.1", domain.Step{Name: "a", Run: "b"})
			first := wide(h, "production", 0)
			h.Claim(first.ID, "web-01")
			h.End(first.ID, "web-01", domain.PartSucceeded, "")
			h.Add("project/shop", domain.DeploymentEnded{Deployment: first.ID, State: domain.DeploymentSucceeded})
			queued := domain.DeploymentQueued{Kind: c.kind, Environment: "production", Release: c.release,
				MaxFailures: &domain.Amount{Number: 1}, Origin: domain.By("ann")}
			if c.kind == domain.Narrowed {
				queued.Machines = []domain.DeploymentMachine{{Name: "web-01"}}
			}
			d := h.Add("project/shop", queued)
			h.Claim(d, "web-01")
			h.End(d, "web-01", domain.PartFailed, domain.StepFailed)
			h.Add("project/shop", domain.DeploymentEnded{Deployment: d, State: c.state})
			p, m := h.Projects["shop"], h.Machines["web-01"]
			count, last := h.Attempts(p, m)
			require.Equal(t, c.attempts, count)
			require.Equal(t, c.held, m.Hold("shop") != nil)
			require.True(t, h.Dirty(p, m))
			if c.attempts > 0 {
				require.Equal(t, h.Deployments[d].Parts["web-01"].EndedAt, last, "the backoff runs from the end of its part")
			}
		})
	}
}
