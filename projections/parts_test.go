package projections_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/droverhq/drover/domain"
	"github.com/droverhq/drover/projections"
	"github.com/droverhq/drover/projections/projectionstest"
)

// startPart queues an automatic deployment of a release to web-01, and claims its part.
func startPart(h *projectionstest.History, release string) *projections.Part {
	d := h.Add("project/shop", domain.DeploymentQueued{Kind: domain.Automatic, Environment: "production", Release: release,
		Machines: []domain.DeploymentMachine{{Name: "web-01", Triggers: []string{"joins"}}}})
	h.Claim(d, "web-01")
	return h.Deployments[d].Parts["web-01"]
}

func endPart(h *projectionstest.History, part *projections.Part, state domain.PartState) {
	h.End(part.Deployment.ID, "web-01", state, "")
}

func TestReportsThatContradictTheStateOfAPartHaveNoEffect(t *testing.T) {
	h := projectionstest.OneMachine(t)
	d := h.Add("project/shop", domain.DeploymentQueued{Kind: domain.Automatic, Environment: "production", Release: "1.0",
		Machines: []domain.DeploymentMachine{{Name: "web-01", Triggers: []string{"joins"}}}})
	part := h.Deployments[d].Parts["web-01"]
	for _, state := range []domain.PartState{domain.PartSucceeded, domain.PartFailed, domain.PartLost} {
		endPart(h, part, state)
		require.Equal(t, domain.PartReleased, part.State, "%s before the claim", state)
		require.False(t, part.Reported)
	}
	h.Claim(d, "web-01")
	endPart(h, part, domain.PartSkipped)
	require.Equal(t, domain.PartRunning, part.State, "a server cannot skip a claimed part")
	endPart(h, part, domain.PartFailed)
	require.Equal(t, domain.PartFailed, part.State)
	for _, state := range []domain.PartState{domain.PartSucceeded, domain.PartLost, domain.PartSkipped} {
		endPart(h, part, state)
		require.Equal(t, domain.PartFailed, part.State, state)
	}
	require.Empty(t, h.Actual(h.Projects["shop"], h.Machines["web-01"]), "the first report of the agent counts")
	require.Equal(t, 1, part.Deployment.Failures())
}

// The result of a lost part arrives late.
func TestLateSuccessIsTheActualReleaseUnlessSomethingFollowed(t *testing.T) {
	for name, c := range map[string]struct {
		between func(*projectionstest.History)
		result  domain.PartState
		actual  string
	}{
		"nothing followed": {func(*projectionstest.History) {}, domain.PartSucceeded, "1.0"},
		"it failed":        {func(*projectionstest.History) {}, domain.PartFailed, ""},
		"a newer part started": {func(h *projectionstest.History) {
			endPart(h, startPart(h, "1.0"), domain.PartFailed)
		}, domain.PartSucceeded, ""},
		"the disk was replaced": {func(h *projectionstest.History) {
			h.Disconnect("web-01")
			h.Connect("web-01", projectionstest.Server, domain.ID{9: 9})
		}, domain.PartSucceeded, ""},
		"the machine was added again": {func(h *projectionstest.History) {
			h.Add("machine/web-01", domain.MachineDeleted{}, domain.MachineAdded{Environment: "production"})
			h.Connect("web-01", projectionstest.Server, projectionstest.Instance)
		}, domain.PartSucceeded, ""},
	} {
		t.Run(name, func(t *testing.T) {
			h := projectionstest.OneMachine(t)
			part := startPart(h, "1.0")
			endPart(h, part, domain.PartLost)
			require.False(t, part.Reported)
			require.Equal(t, 1, part.Deployment.Failures())
			c.between(h)
			endPart(h, part, c.result)
			require.Equal(t, c.actual, h.Actual(h.Projects["shop"], h.Machines["web-01"]))
			require.Equal(t, domain.PartLost, part.State, "the part stays ended")
			require.True(t, part.Reported)
		})
	}
}

func TestPartThatDidNotSucceedOpensItsCandidatesAgain(t *testing.T) {
	h := projectionstest.OneMachine(t)
	before := *candidatesOf(h)[0]
	part := startPart(h, "1.0")
	require.Empty(t, candidatesOf(h))
	require.Equal(t, before.Causes, part.Causes)
	enabled := h.Add("machine/web-01", domain.MachineEnabled{}) // a newer cause while the part runs
	require.Len(t, candidatesOf(h), 1)
	endPart(h, part, domain.PartFailed)
	after := candidatesOf(h)
	require.Len(t, after, 1)
	require.Equal(t, before.Opened, after[0].Opened)
	require.Equal(t, append(before.Causes, projections.Cause{ID: enabled, Category: domain.Enabled,
		Position: after[0].Causes[len(after[0].Causes)-1].Position}), after[0].Causes, "oldest first, each once")

	endPart(h, startPart(h, "1.0"), domain.PartSucceeded)
	require.Empty(t, candidatesOf(h), "a success needs nothing more")
}

func TestReopenedCandidateRetainsItsFirstAndNewestCauses(t *testing.T) {
	h := projectionstest.OneMachine(t)
	causes := func(count int) {
		for range count {
			h.Add("machine/web-01", domain.MachineDisabled{}, domain.MachineEnabled{})
		}
	}
	causes(projections.MaxCauses)
	first := candidatesOf(h)[0].Causes[0]
	part := startPart(h, "1.0")
	causes(projections.MaxCauses - 2)
	newest := candidatesOf(h)[0].Causes
	endPart(h, part, domain.PartFailed)
	merged := candidatesOf(h)[0].Causes
	require.Len(t, merged, projections.MaxCauses)
	require.Equal(t, first, merged[0])
	require.Equal(t, newest, merged[projections.MaxCauses-len(newest):])
}

func TestRequestedRedeploymentSurvivesAFailedPart(t *testing.T) {
	h := projectionstest.OneMachine(t)
	trigger(h, "joins", domain.TriggerSettings{Events: []domain.Category{domain.AvailableGroup}, Redeploy: true})
	h.Add("machine/web-01", domain.MachineEnabled{})
	requested := h.Position
	part := startPart(h, "1.0")
	endPart(h, part, domain.PartFailed)
	require.Equal(t, requested, candidatesOf(h)[0].Redeploy)
}

func TestOnlyAttemptsOfTheSameDiskCount(t *testing.T) {
	attempts := func(h *projectionstest.History) int {
		return h.Machines["web-01"].Installed["shop"].FailedAttempts.Count
	}
	withdraw := func(h *projectionstest.History, reason domain.PartReason) {
		d := h.Add("project/shop", domain.DeploymentQueued{Kind: domain.Automatic, Environment: "production",
			Release: "1.0", Machines: []domain.DeploymentMachine{{Name: "web-01", Triggers: []string{"joins"}}}})
		h.Add("project/shop", domain.PartsWithdrawn{Deployment: d, Machines: []string{"web-01"}, Reason: reason})
	}
	h := projectionstest.OneMachine(t)
	endPart(h, startPart(h, "1.0"), domain.PartFailed)
	require.Equal(t, 1, attempts(h))
	withdraw(h, domain.NotClaimed)
	require.Equal(t, 2, attempts(h), "a part that the machine never claimed is an attempt")
	withdraw(h, domain.MachineIsDisabled)
	withdraw(h, domain.MachineIsBlocked)
	require.Equal(t, 2, attempts(h))
	endPart(h, startPart(h, "1.0"), domain.PartLost)
	require.Equal(t, 3, attempts(h))

	part := startPart(h, "1.0")
	h.Disconnect("web-01")
	h.Connect("web-01", projectionstest.Server, domain.ID{9: 9})
	endPart(h, part, domain.PartLost)
	require.Equal(t, 3, attempts(h), "the new disk has its own count")
	endPart(h, startPart(h, "1.0"), domain.PartFailed)
	require.Equal(t, 1, attempts(h))
}

func TestSuccessAfterACancelEndsTheHoldOfThatDeployment(t *testing.T) {
	h := projectionstest.OneMachine(t)
	part := startPart(h, "1.0")
	h.Add("project/shop", domain.DeploymentCancelled{Deployment: part.Deployment.ID, Origin: domain.By("ann")})
	require.Equal(t, []domain.HoldKind{domain.CancelledHold}, kinds(h))
	endPart(h, part, domain.PartSucceeded)
	require.Empty(t, kinds(h))
	require.Equal(t, "1.0", h.Actual(h.Projects["shop"], h.Machines["web-01"]))
}

func TestMachineIsReadyAgainFromTheEndOfItsPart(t *testing.T) {
	h := projectionstest.OneMachine(t)
	part := startPart(h, "1.0")
	m := h.Machines["web-01"]
	require.Equal(t, part, m.Claimed)
	endPart(h, part, domain.PartFailed)
	require.Nil(t, m.Claimed)
	require.Equal(t, h.Position, m.Ready)
	require.True(t, m.Installed["shop"].Dirty)
}

func TestStreamOfAPartWithoutADeploymentIsSetAside(t *testing.T) {
	h := projectionstest.OneMachine(t)
	h.Apply(recorded(t, "part/garbage", h.Position+1, domain.PartEnded{State: domain.PartFailed}))
	require.True(t, h.SetAside("part/garbage"))
}

func TestClaimAndEndTouchTheMachine(t *testing.T) {
	h := projectionstest.OneMachine(t)
	h.Touched()
	part := startPart(h, "1.0")
	require.Equal(t, "web-01", h.Touched()[0].Name)
	endPart(h, part, domain.PartFailed)
	require.Equal(t, "web-01", h.Touched()[0].Name)
}
