package projections_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/droverhq/drover/domain"
	"github.com/droverhq/drover/projections"
	"github.com/droverhq/drover/projections/projectionstest"
)

// kinds returns the kinds of the holds of project shop on web-01, the strongest first.
func kinds(h *projectionstest.History) (all []domain.HoldKind) {
	if i := h.Machines["web-01"].Installed["shop"]; i != nil {
		for _, hold := range i.Holds {
			all = append(all, hold.Kind)
		}
	}
	return all
}

// hold sets a hold by a person, or with unproven the one after a restore.
func hold(h *projectionstest.History, unproven bool, until *time.Time) {
	h.Add("project/shop", domain.HoldSet{Machine: "web-01", Instance: h.Machines["web-01"].Instance, Release: "1.0",
		Unproven: unproven, Until: until, Origin: domain.By("ann")})
}

// exclude rolls out a release to production without web-01.
func exclude(h *projectionstest.History) *projections.Deployment {
	d := h.Add("project/shop", domain.DeploymentQueued{Kind: domain.EnvironmentWide, Environment: "production",
		Release: "1.0", Exclude: []string{"web-01"}, Origin: domain.By("ann")})
	return h.Deployments[d]
}

// narrowed deploys 1.0 to web-01 and ends its part in a state.
func narrowed(h *projectionstest.History, state domain.PartState, reason domain.PartReason) *projections.Deployment {
	d := h.Deployments[h.Add("project/shop", domain.DeploymentQueued{Kind: domain.Narrowed, Environment: "production",
		Release: "1.0", Machines: []domain.DeploymentMachine{{Name: "web-01"}}, Origin: domain.By("ann")})]
	h.Claim(d.ID, "web-01")
	h.End(d.ID, "web-01", state, reason)
	ended := map[domain.PartState]domain.DeploymentState{domain.PartSucceeded: domain.DeploymentSucceeded,
		domain.PartLost: domain.DeploymentSucceeded, domain.PartFailed: domain.DeploymentFailed}[state]
	h.Add("project/shop", domain.DeploymentEnded{Deployment: d.ID, State: ended})
	return d
}

func TestHoldsStaySideBySideAndTheStrongestComesFirst(t *testing.T) {
	h := shopOn(t, "web-01")
	exclude(h)
	require.Equal(t, []domain.HoldKind{domain.ExcludedHold}, kinds(h))
	narrowed(h, domain.PartFailed, "")
	require.Equal(t, []domain.HoldKind{domain.FailedRolloutHold}, kinds(h), "the later deployment replaces the older hold")
	exclude(h)
	require.Equal(t, []domain.HoldKind{domain.ExcludedHold, domain.FailedRolloutHold}, kinds(h), "the newest first")
	hold(h, true, nil)
	require.Equal(t, []domain.HoldKind{domain.UnprovenHold, domain.ExcludedHold, domain.FailedRolloutHold}, kinds(h))
	hold(h, false, nil)
	all := []domain.HoldKind{domain.ManualHold, domain.UnprovenHold, domain.ExcludedHold, domain.FailedRolloutHold}
	require.Equal(t, all, kinds(h))
	hold(h, false, nil)
	require.Equal(t, all, kinds(h), "one of each kind")

	h.Add("project/shop", domain.HoldLifted{Machine: "web-01", Kind: domain.UnprovenHold, Origin: domain.By("ann")})
	require.Equal(t, []domain.HoldKind{domain.ManualHold, domain.ExcludedHold, domain.FailedRolloutHold}, kinds(h))
	h.Add("project/shop", domain.HoldLifted{Machine: "web-01", Origin: domain.By("ann")})
	require.Empty(t, kinds(h))
}

func TestExpiryEndsOnlyTheTimedHoldAndResetsNoAttempts(t *testing.T) {
	h := projectionstest.OneMachine(t)
	exclude(h)
	h.Add("project/shop", domain.HoldLifted{Machine: "web-01", Origin: domain.By("ann")})
	h.Attempt("web-01", "1.0", domain.PartFailed, "")
	exclude(h)
	until := projectionstest.Start.Add(time.Hour)
	hold(h, false, &until)
	attempts := func() int { return h.Machines["web-01"].Installed["shop"].FailedAttempts.Count }
	require.Equal(t, 1, attempts())
	h.Add("project/shop", domain.HoldLifted{Machine: "web-01", Reason: domain.Expired})
	require.Equal(t, []domain.HoldKind{domain.ExcludedHold}, kinds(h))
	require.Equal(t, 1, attempts())
	h.Add("project/shop", domain.HoldLifted{Machine: "web-01", Origin: domain.By("ann")})
	require.Zero(t, attempts())
}

func TestHoldAfterARestoreLeavesNoProvenRelease(t *testing.T) {
	h := projectionstest.OneMachine(t)
	h.Attempt("web-01", "1.0", domain.PartSucceeded, "")
	shop, m := h.Projects["shop"], h.Machines["web-01"]
	hold(h, false, nil)
	require.Equal(t, "1.0", h.Actual(shop, m))
	hold(h, true, nil)
	require.Empty(t, h.Actual(shop, m))
	require.True(t, m.Installed["shop"].Dirty)
}

func TestNarrowedDeploymentHoldsWhatItDid(t *testing.T) {
	for name, c := range map[string]struct {
		state domain.PartState
		want  bool // the environment wants the release
		holds []domain.HoldKind
	}{
		"a success with another release": {domain.PartSucceeded, false, []domain.HoldKind{domain.NarrowedHold}},
		"a success with the wanted one":  {domain.PartSucceeded, true, nil},
		"a failure":                      {domain.PartFailed, true, []domain.HoldKind{domain.FailedRolloutHold}},
		"a lost part":                    {domain.PartLost, true, []domain.HoldKind{domain.FailedRolloutHold}},
	} {
		t.Run(name, func(t *testing.T) {
			h := shopOn(t)
			if c.want {
				h.Want("1.0")
			}
			h.Join("web-01")
			hold(h, false, nil)
			narrowed(h, c.state, domain.NoEndReported)
			if c.state != domain.PartSucceeded { // only a success ends the hold of a person
				c.holds = append([]domain.HoldKind{domain.ManualHold}, c.holds...)
			}
			require.Equal(t, c.holds, kinds(h))
		})
	}
}

func TestHoldSetDuringADeploymentOutlivesItsSuccess(t *testing.T) {
	h := shopOn(t, "web-01")
	h.Want("1.0")
	d := h.Add("project/shop", domain.DeploymentQueued{Kind: domain.Narrowed, Environment: "production", Release: "1.0",
		Machines: []domain.DeploymentMachine{{Name: "web-01"}}, Origin: domain.By("ann")})
	h.Claim(d, "web-01")
	hold(h, false, nil)
	h.End(d, "web-01", domain.PartSucceeded, "")
	h.Add("project/shop", domain.DeploymentEnded{Deployment: d, State: domain.DeploymentSucceeded})
	require.Equal(t, []domain.HoldKind{domain.ManualHold}, kinds(h))
}

func TestSuccessfulRolloutEndsOlderHoldsExceptWhereItExcludes(t *testing.T) {
	h := shopOn(t, "web-01", "web-02")
	first := exclude(h)
	h.Add("project/shop", domain.DeploymentEnded{Deployment: first.ID, State: domain.DeploymentSucceeded})
	require.Equal(t, []domain.HoldKind{domain.ExcludedHold}, kinds(h), "its own hold stays")
	second := exclude(h)
	h.Add("project/shop", domain.DeploymentEnded{Deployment: second.ID, State: domain.DeploymentSucceeded})
	require.Equal(t, []domain.HoldKind{domain.ExcludedHold}, kinds(h))
	third := wide(h, "production", 0)
	h.Add("project/shop", domain.DeploymentEnded{Deployment: third.ID, State: domain.DeploymentCancelledState})
	require.Equal(t, []domain.HoldKind{domain.ExcludedHold}, kinds(h), "it did not start and did not succeed")
	h.Want("1.0")
	require.Empty(t, kinds(h))
}

// The disk of a failed part was replaced before the deployment ended.
func TestFailedRolloutGivesANewDiskTheReleaseOfTheOldOne(t *testing.T) {
	for name, c := range map[string]struct {
		first bool // web-01 had release 1.0 before
		state domain.PartState
		want  string
	}{
		"it had a release":          {true, domain.PartFailed, "1.0"},
		"it had none":               {false, domain.PartFailed, ""},
		"the part itself succeeded": {true, domain.PartSucceeded, "2.0"},
	} {
		t.Run(name, func(t *testing.T) {
			h := projectionstest.OneMachine(t)
			if c.first {
				h.Attempt("web-01", "1.0", domain.PartSucceeded, "")
			}
			h.Release("shop", "2.0")
			d := h.Add("project/shop", domain.DeploymentQueued{Kind: domain.EnvironmentWide, Environment: "production",
				Release: "2.0", Origin: domain.By("ann")})
			h.Claim(d, "web-01")
			h.End(d, "web-01", c.state, "")
			h.Disconnect("web-01")
			h.Connect("web-01", projectionstest.Server, domain.ID{9: 9})
			h.Add("project/shop", domain.DeploymentEnded{Deployment: d, State: domain.DeploymentFailed})
			held := h.Machines["web-01"].Hold("shop")
			if c.want == "" {
				require.Nil(t, held)
				return
			}
			require.Equal(t, c.want, held.Release)
			require.Equal(t, projectionstest.Instance, held.Instance)
			require.False(t, h.Machines["web-01"].HoldApplies("shop"), "the new disk still gets the release")
			require.Equal(t, c.want, h.Wanted(h.Projects["shop"], h.Machines["web-01"]))
		})
	}
}

func TestCancelledAutomaticDeploymentHoldsMachinesThatDidNotSucceed(t *testing.T) {
	h := projectionstest.OneMachine(t)
	for _, name := range []string{"web-02", "web-03", "web-04"} {
		h.Join(name)
	}
	d := h.Add("project/shop", domain.DeploymentQueued{Kind: domain.Automatic, Environment: "production", Release: "1.0",
		Machines: []domain.DeploymentMachine{{Name: "web-01", Triggers: []string{"joins"}},
			{Name: "web-02", Triggers: []string{"joins"}}, {Name: "web-03", Triggers: []string{"joins"}},
			{Name: "web-04", Triggers: []string{"joins"}}}})
	for _, name := range []string{"web-01", "web-02", "web-04"} {
		h.Claim(d, name)
	}
	h.End(d, "web-01", domain.PartSucceeded, "")
	h.End(d, "web-02", domain.PartFailed, "")
	h.End(d, "web-04", domain.PartFailed, "")
	h.Attempt("web-04", "1.0", domain.PartFailed, "") // a later part
	h.Add("project/shop", domain.DeploymentCancelled{Deployment: d, Origin: domain.By("ann")})
	held := map[string]bool{}
	for name, m := range h.Machines {
		if k := m.Hold("shop"); k != nil {
			require.Equal(t, domain.CancelledHold, k.Kind)
			held[name] = true
		}
	}
	require.Equal(t, map[string]bool{"web-02": true, "web-03": true}, held)
}

func TestHoldsOfAnUnknownMachineHaveNoEffect(t *testing.T) {
	h := shopOn(t)
	h.Add("project/shop", domain.HoldSet{Machine: "web-01", Origin: domain.By("ann")},
		domain.HoldLifted{Machine: "web-01", Origin: domain.By("ann")})
	h.Join("web-01")
	require.Empty(t, kinds(h))
}

func TestEndOfAHoldThatDoesNotExistResetsNoAttempts(t *testing.T) {
	h := projectionstest.OneMachine(t)
	h.Attempt("web-01", "1.0", domain.PartFailed, "")
	h.Add("project/shop", domain.HoldLifted{Machine: "web-01", Origin: domain.By("ann")})
	require.Equal(t, 1, h.Machines["web-01"].Installed["shop"].FailedAttempts.Count)
}

// holdOf returns the hold of one kind on web-01, or nil.
func holdOf(h *projectionstest.History, kind domain.HoldKind) *projections.Hold {
	for _, hold := range h.Machines["web-01"].Installed["shop"].Holds {
		if hold.Kind == kind {
			return hold
		}
	}
	return nil
}

func TestExcludedMachineIsHeldAtItsOwnRelease(t *testing.T) {
	h := shopOn(t, "web-01")
	hold(h, false, nil) // at 1.0, which it does not have
	exclude(h)
	require.Empty(t, holdOf(h, domain.ExcludedHold).Release)
	require.Equal(t, "1.0", holdOf(h, domain.ManualHold).Release)
}

func TestSuccessfulRolloutEndsNoHoldOfAnExcludedMachine(t *testing.T) {
	h := shopOn(t, "web-01")
	narrowed(h, domain.PartFailed, "")
	h.Add("project/shop", domain.DeploymentEnded{Deployment: exclude(h).ID, State: domain.DeploymentSucceeded})
	require.Equal(t, []domain.HoldKind{domain.ExcludedHold, domain.FailedRolloutHold}, kinds(h))
}

func TestDeploymentHoldsNoMachineThatDidNotStart(t *testing.T) {
	for state, kind := range map[domain.DeploymentState]domain.DeploymentKind{
		domain.DeploymentSucceeded: domain.Narrowed, domain.DeploymentFailed: domain.EnvironmentWide} {
		h := shopOn(t, "web-01")
		d := h.Add("project/shop", domain.DeploymentQueued{Kind: kind, Environment: "production", Release: "1.0",
			Machines: []domain.DeploymentMachine{{Name: "web-01"}}, Origin: domain.By("ann")})
		h.End(d, "web-01", domain.PartSkipped, domain.MachineIsOffline)
		h.Add("project/shop", domain.DeploymentEnded{Deployment: d, State: state})
		require.Empty(t, kinds(h), state)
	}
}

func TestDeploymentThatEndsLateHoldsNothingThatALaterOneStarted(t *testing.T) {
	for _, state := range []domain.DeploymentState{domain.DeploymentSucceeded, domain.DeploymentFailed} {
		h := shopOn(t, "web-01")
		h.Want("1.0")
		d := h.Add("project/shop", domain.DeploymentQueued{Kind: domain.Narrowed, Environment: "production", Release: "1.0",
			Machines: []domain.DeploymentMachine{{Name: "web-01"}}, Origin: domain.By("ann")})
		h.Claim(d, "web-01")
		h.End(d, "web-01", domain.PartLost, domain.NoEndReported)
		narrowed(h, domain.PartSucceeded, "")
		h.Add("project/shop", domain.DeploymentEnded{Deployment: d, State: state})
		require.Empty(t, kinds(h), state)
	}
}

func TestFailedRolloutHoldsWhatIsProvenAtItsEnd(t *testing.T) {
	h := projectionstest.OneMachine(t)
	h.Attempt("web-01", "1.0", domain.PartSucceeded, "")
	d := wide(h, "production", 0)
	h.Claim(d.ID, "web-01")
	h.End(d.ID, "web-01", domain.PartFailed, "")
	hold(h, true, nil) // a restore: nothing is proven any more
	h.Add("project/shop", domain.DeploymentEnded{Deployment: d.ID, State: domain.DeploymentFailed})
	require.Empty(t, holdOf(h, domain.FailedRolloutHold).Release)
}

func TestFailedRolloutDoesNotHoldAnotherMachineOfTheSameName(t *testing.T) {
	h := shopOn(t, "web-01")
	d := wide(h, "production", 0)
	h.Claim(d.ID, "web-01")
	h.End(d.ID, "web-01", domain.PartFailed, "")
	h.Add("machine/web-01", domain.MachineDeleted{Origin: domain.By("ann")})
	h.Join("web-01")
	h.Add("project/shop", domain.DeploymentEnded{Deployment: d.ID, State: domain.DeploymentFailed})
	require.Empty(t, kinds(h))
}
