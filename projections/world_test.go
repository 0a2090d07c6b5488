package projections_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/droverhq/drover/domain"
	"github.com/droverhq/drover/projections"
	"github.com/droverhq/drover/projections/projectionstest"
)

func TestCommandsFindOnlyWhatExists(t *testing.T) {
	h := projectionstest.OneMachine(t)
	w := h.World()
	require.Equal(t, "web-01", w.Machine("web-01").Name)
	require.Nil(t, w.Machine("web-02"))
	require.Equal(t, "shop", w.Project("shop").Name)
	require.Nil(t, w.Project("blog"))
	require.True(t, w.Environment("production"))
	require.False(t, w.Environment("staging"))
	require.Nil(t, w.CleanedUp("web-01"))
	h.Disconnect("web-01")
	h.Add("machine/web-01", domain.MachineDeleted{Reason: domain.CleanUpReason})
	require.Equal(t, projectionstest.Instance, w.CleanedUp("web-01").Instance)
	require.Nil(t, w.CleanedUp("web-02"))
	require.Nil(t, w.Token("a"))
	h.Add("token/a", domain.TokenCreated{})
	require.Equal(t, "a", w.Token("a").ID)
}

func TestDefaultPolicyExistsBeforeItIsDefined(t *testing.T) {
	h := shopOn(t)
	byDefault := domain.PolicySettings{}.WithDefaults()
	require.Equal(t, &byDefault, h.World().Policy(domain.DefaultPolicy))
	require.Nil(t, h.World().Policy("web"))
	for _, name := range []string{domain.DefaultPolicy, "web"} {
		policy(h, name, checked)
		require.NotNil(t, h.World().Policy(name).HealthCheck)
	}
}

func TestReferencesPreventTheDeletionOfEnvironmentsAndPolicies(t *testing.T) {
	h := shopOn(t)
	h.Add("environment/staging", domain.EnvironmentDefined{})
	for name, settings := range map[string]domain.MachineChanged{
		"web-03": {Environment: "production", Policy: "web"}, "web-01": {Environment: "production"},
		"web-02": {Environment: "staging", Policy: "web"}, "web-04": {Environment: "web", Policy: "production"},
	} {
		h.Add("machine/"+name, domain.MachineAdded{Environment: settings.Environment, Policy: settings.Policy})
	}
	in := func(environments ...string) domain.TriggerSettings {
		return domain.TriggerSettings{Events: []domain.Category{domain.Enabled}, Environments: environments}
	}
	h.Project("blog", domain.ProjectSettings{}, domain.TriggerDefined{Trigger: "b", Settings: in("staging", "production")},
		domain.TriggerDefined{Trigger: "a", Settings: in("production")},
		domain.TriggerDefined{Trigger: "c", Settings: in("staging", "web")})
	gives := domain.TokenCreated{Settings: domain.TokenSettings{Join: true, Name: "fleet", Policy: "web"}}
	h.Add("token/a", gives)
	h.Add("token/b", gives, domain.TokenRevoked{})
	w := h.World()
	require.Equal(t, []string{"machine web-01", "machine web-03", "trigger a of project blog", "trigger b of project blog"},
		w.References(domain.EnvironmentStreams, "production"))
	require.Equal(t, []string{"machine web-02", "machine web-03", "join token fleet"}, w.References(domain.PolicyStreams, "web"))
}

func TestCommandsSeeTheHoldOfAKindOrTheStrongest(t *testing.T) {
	h := projectionstest.OneMachine(t)
	w := h.World()
	require.Nil(t, w.Hold("shop", "web-01", ""))
	exclude(h)
	hold(h, false, nil)
	require.Equal(t, domain.ManualHold, w.Hold("shop", "web-01", "").Kind)
	require.Equal(t, domain.ExcludedHold, w.Hold("shop", "web-01", domain.ExcludedHold).Kind)
	require.Nil(t, w.Hold("shop", "web-01", domain.UnprovenHold))
	require.Nil(t, w.Hold("shop", "web-02", ""))
	require.Nil(t, w.Hold("blog", "web-01", ""))
}

func TestCommandsSeeWantedAndActualReleases(t *testing.T) {
	h := projectionstest.OneMachine(t)
	w := h.World()
	require.Equal(t, "1.0", w.Wanted("shop", "web-01"))
	require.Empty(t, w.Actual("shop", "web-01"))
	require.Zero(t, w.ActualFrom("shop", "web-01"))
	require.Empty(t, w.Unfinished("shop", "web-01"))
	d := h.Attempt("web-01", "1.0", domain.PartSucceeded, "")
	require.Equal(t, "1.0", w.Actual("shop", "web-01"))
	require.Equal(t, d, w.ActualFrom("shop", "web-01"))
	require.Empty(t, w.Unfinished("shop", "web-01"), "it succeeded")
	h.Release("shop", "2.0")
	h.Want("2.0")
	h.Attempt("web-01", "2.0", domain.PartFailed, "")
	require.Equal(t, "2.0", w.Unfinished("shop", "web-01"))
	require.Equal(t, "2.0", w.Wanted("shop", "web-01"))
	for _, other := range [][2]string{{"shop", "web-02"}, {"blog", "web-01"}} {
		require.Empty(t, w.Wanted(other[0], other[1]))
		require.Empty(t, w.Actual(other[0], other[1]))
		require.Zero(t, w.ActualFrom(other[0], other[1]))
		require.Empty(t, w.Unfinished(other[0], other[1]))
	}
	h.Disconnect("web-01")
	h.Connect("web-01", projectionstest.Server, domain.ID{9: 9})
	require.Zero(t, w.ActualFrom("shop", "web-01"), "another disk")
}

func TestOnlyAPartThatIsNotClaimedIsUnclaimed(t *testing.T) {
	h := projectionstest.OneMachine(t)
	h.Project("blog", domain.ProjectSettings{})
	w := h.World()
	require.False(t, w.HasUnclaimed("shop", "web-01"))
	d := queue(h)
	require.True(t, w.HasUnclaimed("shop", "web-01"))
	require.False(t, w.HasUnclaimed("blog", "web-01"))
	require.Equal(t, &domain.Part{Project: "shop", State: domain.PartReleased}, w.Part(d, "web-01"))
	require.Nil(t, w.Part(d, "web-02"))
	require.Equal(t, domain.MachineGone, w.ClaimCheck(d, "web-02", projectionstest.Session))
	require.Equal(t, domain.OldSession, w.ClaimCheck(d, "web-01", domain.ID{8: 8}))
	require.Empty(t, w.ClaimCheck(d, "web-01", projectionstest.Session))
	h.Claim(d, "web-01")
	require.False(t, w.HasUnclaimed("shop", "web-01"))
	require.Equal(t, &domain.Part{Project: "shop", State: domain.PartRunning, Claimed: true,
		Session: projectionstest.Session, Instance: projectionstest.Instance}, w.Part(d, "web-01"))
}

func TestCommandsSeeDeploymentsThatWerePruned(t *testing.T) {
	f := newFleet(t, 1)
	w := f.World()
	require.Nil(t, w.Deployment(domain.ID{8: 8}))
	failed := f.narrowed(domain.PartFailed, "web-00")
	cancelled := queue(f.History)
	require.False(t, w.Deployment(cancelled).Ended)
	f.Add("project/shop", domain.DeploymentCancelled{Deployment: cancelled},
		domain.DeploymentEnded{Deployment: cancelled, State: domain.DeploymentCancelledState})
	same := func() {
		d := w.Deployment(failed)
		require.Equal(t, []any{"shop", true, false, domain.DeploymentFailed}, []any{d.Project, d.Ended, d.Cancelled, d.State})
		d = w.Deployment(cancelled)
		require.Equal(t, []any{"shop", true, true, domain.DeploymentCancelledState},
			[]any{d.Project, d.Ended, d.Cancelled, d.State})
	}
	same()
	for range 2 * projections.RetainedDeployments {
		f.narrowed(domain.PartSucceeded, "web-00")
	}
	require.Nil(t, f.Deployments[failed])
	require.Nil(t, f.Deployments[cancelled])
	same()
}

func TestCommandsSeeWhyAStreamIsSetAside(t *testing.T) {
	h := shopOn(t)
	_, aside := h.World().SetAside("machine/web-01")
	require.False(t, aside)
	h.SetAsideStream("machine/web-01")
	reason, aside := h.World().SetAside("machine/web-01")
	require.True(t, aside)
	require.Contains(t, reason, "cannot unmarshal number")
}
