package domain

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func retire(version string) RetireRelease {
	return RetireRelease{Project: "shop", Release: version, Reason: "wrong\nversion", Origin: By("ann")}
}

func restore(version string) RestoreRelease {
	return RestoreRelease{Project: "shop", Release: version, Reason: "wrong one"}
}

// wide records a successful environment-wide deployment.
func (w *testWorld) wide(environment, release string) {
	id := w.record("project/shop", DeploymentQueued{Kind: EnvironmentWide, Environment: environment, Release: release})
	w.record("project/shop", DeploymentEnded{Deployment: id, State: DeploymentSucceeded})
}

func TestRetiredReleaseIsNotDeployable(t *testing.T) {
	w := shopWorld(t)
	require.Equal(t, []Event{ReleaseRetired{Release: "2", Reason: "wrong\nversion", Origin: By("ann")}}, w.do(retire("2")))
	require.Empty(t, w.do(retire("2")), "the same again is no change")
	for _, c := range []Command{
		Deploy{Project: "shop", Release: "2", Environment: "production"},
		Deploy{Project: "shop", Release: "2", Environment: "production", Machines: []string{"web-01"}},
		Rollback{Project: "shop", Environment: "production", Release: "2"},
		SetPin{Project: "shop", Environment: "production", Release: "2"},
		CreateRelease{Project: "shop", Version: "2"},
	} {
		w.rejects(c, Conflict, "release 2 of project shop is retired: wrong version", "drover release restore shop 2")
	}
	w.do(Deploy{Project: "shop", Release: "3", Environment: "production"})

	require.Equal(t, []Event{ReleaseRestored{Release: "2", Reason: "wrong one"}}, w.do(restore("2")))
	require.Empty(t, w.do(restore("2")), "the same again is no change")
	w.do(Deploy{Project: "shop", Release: "2", Environment: "production"}, CreateRelease{Project: "shop", Version: "2"})
}

func TestReleaseThatMachinesCanGetIsNotRetired(t *testing.T) {
	w := shopWorld(t)
	w.wide("production", "2")
	w.wide("staging", "2")
	w.rejects(retire("2"), Conflict, "release 2 is the wanted release of project shop in production, staging",
		"drover deploy shop VERSION --to production")
	w.do(SetPin{Project: "shop", Environment: "production", Release: "3"})
	w.rejects(retire("3"), Conflict, "release 3 of project shop is pinned in production", "drover unpin shop --in production")
}

func TestReleaseBelowAPinIsNotRetired(t *testing.T) { // it is wanted again when the pin ends
	w := shopWorld(t)
	w.wide("production", "2")
	w.do(SetPin{Project: "shop", Environment: "production", Release: "3"})
	w.rejects(retire("2"), Conflict, "release 2 is the wanted release of project shop in production")
}

func TestReleaseThatIsBeingDeployedIsNotRetired(t *testing.T) {
	w := shopWorld(t)
	w.deployments[number(9)] = &DeploymentFacts{Project: "shop", Queued: &DeploymentQueued{Release: "2"}}
	w.rejects(retire("2"), Conflict, "of release 2 has not ended", "drover cancel "+number(9).String())
	w.do(retire("1"))
	w.deployments[number(9)].Ended = true
	w.do(retire("2"))
}

func TestRetiringNeedsAReleaseAndAReason(t *testing.T) {
	w := shopWorld(t)
	w.rejects(RetireRelease{Project: "nix", Release: "2", Reason: "r"}, NotFound, `project "nix" does not exist`)
	w.rejects(RestoreRelease{Project: "nix", Release: "2"}, NotFound, `project "nix" does not exist`)
	w.rejects(retire("9"), NotFound, `project shop has no release "9"`, "drover get releases --project shop")
	w.rejects(restore("9"), NotFound, `project shop has no release "9"`)
	for _, reason := range []string{"", " \n"} {
		w.rejects(RetireRelease{Project: "shop", Release: "2", Reason: reason}, Invalid, "a reason is missing")
	}
	long := strings.Repeat("x", MaxReasonBytes+1)
	w.rejects(RetireRelease{Project: "shop", Release: "2", Reason: long}, Invalid, "invalid reason of 501 bytes")
	w.rejects(RestoreRelease{Project: "shop", Release: "2", Reason: long}, Invalid, "invalid reason of 501 bytes")
	w.do(RetireRelease{Project: "shop", Release: "2", Reason: long[1:]})
	w.rejects(Deploy{Project: "shop", Release: "2", Environment: "production"}, Conflict, "is retired")
}

func TestRollbackSkipsRetiredReleases(t *testing.T) {
	w := shopWorld(t)
	for _, version := range []string{"1", "2", "3"} {
		w.wide("production", version)
	}
	w.do(retire("2"))
	require.Equal(t, "1", w.do(Rollback{Project: "shop", Environment: "production"})[0].(DeploymentQueued).Release)
}

func TestRollbackSaysThatTheEarlierReleasesAreRetired(t *testing.T) {
	w := shopWorld(t)
	w.wide("production", "1")
	w.wide("production", "2")
	w.do(retire("1"))
	w.rejects(Rollback{Project: "shop", Environment: "production"}, Conflict, "release 1 of project shop is retired")
	w.rejects(Rollback{Project: "shop", Environment: "staging"}, Conflict, "no release to roll back to in staging")
}

func TestRetryOfARetiredReleaseDeploysTheWantedOne(t *testing.T) {
	w := shopWorld(t)
	w.wide("production", "1")
	w.unfinished["shop web-01"] = "2"
	c := Retry{Project: "shop", Machine: "web-01"}
	require.Equal(t, "2", w.do(c)[0].(DeploymentQueued).Release)
	w.do(retire("2"))
	require.Equal(t, "1", w.do(c)[0].(DeploymentQueued).Release)
}

func TestRetryOfADeploymentOfARetiredReleaseIsRefused(t *testing.T) {
	w := shopWorld(t)
	w.deployments[number(9)] = &DeploymentFacts{Project: "shop", Environment: "production", Ended: true,
		Queued: &DeploymentQueued{Kind: EnvironmentWide, Release: "2"}}
	w.do(retire("2"))
	w.rejects(RetryDeployment{Deployment: number(9), Failed: true}, Conflict, "release 2 of project shop is retired")
}
