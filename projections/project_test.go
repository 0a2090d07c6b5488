package projections_test

import (
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/droverhq/drover/domain"
	"github.com/droverhq/drover/projections"
	"github.com/droverhq/drover/projections/projectionstest"
)

func TestPinChangesSinceWhenAnEnvironmentWantsItsRelease(t *testing.T) {
	h := shopOn(t, "web-01")
	shop := h.Projects["shop"]
	since := func() int { return int(shop.WantedSince["production"]) }
	h.Want("1.0")
	wanted := int(h.Position)
	require.Equal(t, wanted, since())
	pin := func(release string) {
		h.Add("project/shop", domain.PinSet{Environment: "production", Release: release, Origin: domain.By("ann")})
	}
	pin("1.0")
	require.Equal(t, wanted, since(), "it wanted that release before")
	pin("2.0")
	require.Equal(t, int(h.Position), since())
	require.Equal(t, now(h), shop.PinnedTime["production"])
	pinned := since()
	h.Add("project/shop", domain.ProjectDisabled{}, domain.ProjectEnabled{})
	h.Add("project/shop", domain.DeploymentEnded{Deployment: domain.ID{8: 8}, State: domain.DeploymentSucceeded})
	require.Equal(t, pinned, since())
	h.Add("project/shop", domain.PinLifted{Environment: "production", Reason: domain.Lifted})
	require.Equal(t, int(h.Position), since())
}

func TestOnlyAPersonWhoLiftsAPinResetsAttempts(t *testing.T) {
	for reason, want := range map[string]int{domain.Lifted: 0, domain.Expired: 1} {
		h := projectionstest.OneMachine(t)
		until := projectionstest.Start.Add(time.Hour)
		h.Add("project/shop", domain.PinSet{Environment: "production", Release: "1.0", Until: &until, Origin: domain.By("ann")})
		require.Len(t, slices.Collect(h.Deadlines()), 1)
		h.Attempt("web-01", "1.0", domain.PartFailed, "")
		h.Add("project/shop", domain.PinLifted{Environment: "production", Reason: reason})
		require.Equal(t, want, h.Machines["web-01"].Installed["shop"].FailedAttempts.Count, reason)
		require.Empty(t, slices.Collect(h.Deadlines()))
	}
}

func TestProjectIsEnabledSinceItWasDefinedOrEnabled(t *testing.T) {
	h := shopOn(t)
	h.Project("blog", domain.ProjectSettings{})
	blog := h.Projects["blog"]
	require.Equal(t, h.Position-1, blog.Defined)
	require.Equal(t, h.Position-1, blog.Enabled)
	h.Add("project/blog", domain.ProjectDisabled{})
	require.Equal(t, blog.Defined, blog.Enabled)
	h.Add("project/blog", domain.ProjectEnabled{}, domain.ProjectDefined{})
	require.Equal(t, h.Position-1, blog.Enabled)
	require.Equal(t, h.Position-4, blog.Defined)
}

// The claim check of an open part may have another result.
func TestChangesOfAProjectTouchItsOpenParts(t *testing.T) {
	joins := domain.TriggerDefined{Trigger: "joins", Settings: domain.TriggerSettings{
		Events: []domain.Category{domain.AvailableGroup}, Environments: []string{"production"}}}
	for _, change := range []domain.Event{domain.ProjectDisabled{}, domain.ProjectEnabled{}, domain.ProjectDefined{},
		joins, domain.TriggerDisabled{Trigger: "joins"}, domain.TriggerEnabled{Trigger: "joins"},
		domain.TriggerDeleted{Trigger: "joins"}} {
		h := projectionstest.OneMachine(t)
		h.Join("web-02", "web-03")
		d := h.Add("project/shop", domain.DeploymentQueued{Kind: domain.Narrowed, Environment: "production", Release: "1.0",
			Machines: []domain.DeploymentMachine{{Name: "web-01"}, {Name: "web-02"}}})
		h.Claim(d, "web-02")
		h.End(d, "web-02", domain.PartSucceeded, "")
		h.Touched()
		h.Add("project/shop", change)
		var names []string
		for _, r := range h.Touched() {
			names = append(names, r.Name)
		}
		require.Equal(t, []string{"web-01"}, names, "%T", change)
	}
}

func TestRolesOfAProjectDecideAtOnceWhichMachinesAreInScope(t *testing.T) {
	h := projectionstest.New(t)
	h.Shop(domain.ProjectSettings{})
	h.Want("1.0")
	h.Join("web-01")
	shop := h.Projects["shop"]
	require.Equal(t, []string{"web-01"}, shop.Sweep())
	h.Add("project/shop", domain.ProjectDefined{Settings: domain.ProjectSettings{Roles: []string{"web"}}})
	require.Empty(t, shop.Sweep())
	require.Empty(t, h.Inconsistencies())
	h.Add("project/shop", domain.ProjectDefined{})
	require.Equal(t, []string{"web-01"}, shop.Sweep())
}

func TestRedeploymentThatIsTurnedOffWhileAPartRunsIsDropped(t *testing.T) {
	for _, turnedOff := range []bool{false, true} {
		b, _ := returned(t)
		d := b.Add("project/shop", domain.DeploymentQueued{Kind: domain.Automatic, Environment: "production", Release: "1.0",
			Machines: []domain.DeploymentMachine{{Name: "web-01", Triggers: []string{"joins"}}}})
		require.Zero(t, b.redeploy("shop"), "the part has the candidate")
		settings := joining("joins")
		settings.Settings.Redeploy = !turnedOff
		b.Add("project/shop", settings)
		b.End(d, "web-01", domain.PartSkipped, domain.MachineIsDisabled)
		require.Equal(t, turnedOff, b.redeploy("shop") == 0)
	}
}

func TestOtherChangesOfAProjectKeepARequestedRedeployment(t *testing.T) {
	for _, deleted := range []bool{false, true} {
		b, instance := returned(t)
		requested := b.redeploy("shop")
		if deleted {
			b.cleanUp("web-01")
		}
		b.Add("project/shop", domain.ProjectDefined{}, joining("other"))
		if deleted {
			b.undo("web-01", instance)
		}
		require.Equal(t, requested, b.redeploy("shop"))
	}
}

// The old project's deployment still has a running part.
func TestProjectThatIsCreatedAgainHasNothingOfTheOldOne(t *testing.T) {
	for _, state := range []domain.DeploymentState{domain.DeploymentSucceeded, domain.DeploymentFailed} {
		h := shopOn(t, "web-01", "web-02")
		h.Want("1.0")
		require.NotEmpty(t, h.Projects["shop"].Sweep())
		until := projectionstest.Start.Add(time.Hour)
		h.Add("project/shop", domain.PinSet{Environment: "production", Release: "1.0", Until: &until, Origin: domain.By("ann")})
		d := h.Add("project/shop", domain.DeploymentQueued{Kind: domain.Narrowed, Environment: "production", Release: "1.0",
			Machines: []domain.DeploymentMachine{{Name: "web-01"}}})
		h.Claim(d, "web-01")
		hold(h, false, &until)
		require.Len(t, slices.Collect(h.Deadlines()), 2)
		h.Add("project/shop", domain.ProjectDeleted{})
		require.Empty(t, slices.Collect(h.Deadlines()))
		require.Empty(t, h.Machines["web-01"].Installed)
		require.Empty(t, h.Inconsistencies())
		h.Project("shop", domain.ProjectSettings{})
		require.Empty(t, h.Projects["shop"].Sweep())
		h.End(d, "web-01", domain.PartFailed, "")
		h.Add("project/shop", domain.DeploymentEnded{Deployment: d, State: state})
		require.Empty(t, h.Machines["web-01"].Installed, state)
		require.Empty(t, h.Inconsistencies())
	}
}

func TestProjectsOfAMachineAreFoundByName(t *testing.T) {
	h := shopOn(t)
	h.Add("machine/web-01", domain.MachineAdded{Environment: "production", Roles: []string{"web"}}) // indexes the projects
	names := func() (names []string) {
		for _, p := range h.ProjectsFor(h.Machines["web-01"]) {
			names = append(names, p.Name)
		}
		return names
	}
	h.Project("blog", domain.ProjectSettings{Roles: []string{"web", "db"}})
	require.Equal(t, []string{"blog", "shop"}, names(), "the new project is found")
	h.Add("machine/web-01", domain.MachineChanged{Environment: "production", Roles: []string{"db", "web"}})
	require.Equal(t, []string{"blog", "shop"}, names(), "once for all its roles")
}

func TestReleaseOfAnInvalidStreamSetsItAside(t *testing.T) {
	h := shopOn(t)
	for _, stream := range []string{"release/shop/x/1.0", "release/shop", "release/shop/" +
		h.Projects["shop"].Incarnation.String() + "/2.0"} {
		require.Nil(t, h.Apply(recorded(t, stream, h.Position+1, domain.ReleaseCreated{Version: "1.0"})))
		require.True(t, h.SetAside(stream), stream)
	}
	require.Equal(t, []string{"1.0"}, h.Projects["shop"].Versions)
}

func TestOpenPartsOfADeletedProjectEndAndItsSweepIsEmpty(t *testing.T) {
	h := shopOn(t, "web-01", "web-02")
	h.Want("1.0")
	shop := h.Projects["shop"]
	d := h.Deployments[queue(h)]
	h.Add("project/shop", domain.ProjectDeleted{})
	require.Equal(t, domain.ProjectGone, d.Parts["web-01"].Reason)
	require.Empty(t, shop.Sweep())
	require.Empty(t, h.ProjectsToEvaluate())
	require.Equal(t, projections.Pruned{}, func() projections.Pruned { p, _ := h.Pruned(d.ID); return p }())
}
