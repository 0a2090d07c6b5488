package projections_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/droverhq/drover/domain"
	"github.com/droverhq/drover/projections/projectionstest"
)

func TestDuringRolloutMachinesAreBehindItsRelease(t *testing.T) {
	l := projectionstest.OneMachine(t)
	l.Join("web-02", "web-03", "web-04", "web-05")
	for _, name := range []string{"web-01", "web-02", "web-03", "web-04", "web-05"} {
		l.Attempt(name, "1.0", domain.PartSucceeded, "")
	}
	l.Release("shop", "1.1")
	l.Add("project/shop", domain.HoldSet{Machine: "web-03", Release: "1.0"})
	d := l.Add("project/shop", domain.DeploymentQueued{Kind: domain.EnvironmentWide, Environment: "production",
		Release: "1.1", Exclude: []string{"web-04"}})
	l.Claim(d, "web-01")
	l.End(d, "web-01", domain.PartSucceeded, "")
	l.Claim(d, "web-05")
	l.End(d, "web-05", domain.PartFailed, domain.StepFailed)
	shop := l.Projects["shop"]
	expect := func(machine, release string, behind bool) {
		t.Helper()
		require.Equal(t, release, l.Expected(shop, l.Machines[machine]), machine)
		require.Equal(t, behind, l.BehindExpected(shop, l.Machines[machine]), machine)
	}
	expect("web-01", "1.1", false) // it has the release of the rollout, although 1.0 is still wanted
	expect("web-02", "1.1", true)  // it is yet to get it
	expect("web-03", "1.0", false) // a person holds it
	expect("web-04", "1.0", false) // it is excluded
	expect("web-05", "1.1", true)  // its part failed
	require.True(t, l.Behind(shop, l.Machines["web-01"]), "the engine still decides by the wanted release")
	require.Equal(t, d, l.Rolling(shop, l.Machines["web-02"]).Deployment.ID)
	require.Nil(t, l.Rolling(shop, l.Machines["web-01"]))

	l.Add("project/shop", domain.DeploymentCancelled{Deployment: d})
	require.Nil(t, shop.Rollout("production"))
	expect("web-02", "1.0", false)
}

func TestMachineExpectsTheReleaseOfItsOwnPart(t *testing.T) {
	l := projectionstest.OneMachine(t)
	l.Attempt("web-01", "1.0", domain.PartSucceeded, "")
	l.Release("shop", "1.1")
	d := l.Add("project/shop", domain.DeploymentQueued{Kind: domain.Narrowed, Environment: "production", Release: "1.1",
		HealthyFor: domain.Duration(1), Machines: []domain.DeploymentMachine{{Name: "web-01"}}})
	shop, m := l.Projects["shop"], l.Machines["web-01"]
	require.Equal(t, "1.1", l.Expected(shop, m))
	require.True(t, l.BehindExpected(shop, m))
	l.Claim(d, "web-01")
	require.Equal(t, domain.PartRunning, l.Rolling(shop, m).State)
	l.End(d, "web-01", domain.PartSucceeded, "")
	require.Equal(t, domain.PartVerifying, l.Deployments[d].Parts["web-01"].State)
	require.Nil(t, l.Rolling(shop, m), "it has the release while the part is verified")
}
