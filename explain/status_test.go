package explain

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/droverhq/drover/domain"
	"github.com/droverhq/drover/projections/projectionstest"
)

// wide queues an environment-wide deployment of a release of shop to production.
func wide(l *projectionstest.History, release string) domain.ID {
	return l.Add("project/shop", domain.DeploymentQueued{Kind: domain.EnvironmentWide, Environment: "production",
		Release: release, Origin: domain.By("ann")})
}

func rowOf(t *testing.T, l *projectionstest.History) ProjectStatus {
	t.Helper()
	s := StatusOf(l.View, Filter{}, nil)
	require.Len(t, s.Projects, 1)
	row := s.Projects[0]
	require.Equal(t, row.Machines, row.Have+row.Held+row.Failed+row.Running+row.Offline+row.Behind,
		"each machine counts once")
	return row
}

func TestStatusCountsEachMachineOnce(t *testing.T) {
	l := projectionstest.OneMachine(t)
	l.Join("web-02", "web-03", "web-04", "web-05", "web-06")
	l.Attempt("web-01", "1.0", domain.PartSucceeded, "")
	l.Attempt("web-02", "1.0", domain.PartFailed, domain.StepFailed)
	l.Add("project/shop", domain.HoldSet{Machine: "web-03"})
	l.Disconnect("web-04")
	d := l.Add("project/shop", domain.DeploymentQueued{Kind: domain.Automatic, Environment: "production", Release: "1.0",
		Machines: []domain.DeploymentMachine{{Name: "web-05", Triggers: []string{"joins"}}}})
	l.Claim(d, "web-05")
	row := rowOf(t, l)
	require.Equal(t, ProjectStatus{Project: "shop", Environment: "production", Enabled: true, Wanted: "1.0", Release: "1.0",
		Machines: 6, Have: 1, Failed: 1, Held: 1, Offline: 1, Running: 1, Behind: 1}, row)
	require.Equal(t, "1 running, 1 failed, 1 held, 1 offline, 1 behind", row.State())
}

func TestStatusCountsADirtyMachineAsFailedWhateverReleaseItHas(t *testing.T) {
	l := projectionstest.OneMachine(t)
	l.Join("web-02", "web-03")
	for _, machine := range []string{"web-01", "web-02", "web-03"} {
		l.Attempt(machine, "1.0", domain.PartSucceeded, "")
	}
	l.Release("shop", "1.1")
	l.Add("project/shop", domain.PinSet{Environment: "production", Release: "1.1"})
	l.Attempt("web-01", "1.1", domain.PartFailed, domain.StepFailed)
	l.Attempt("web-02", "1.1", domain.PartFailed, domain.StepFailed)
	l.Add("project/shop", domain.PinLifted{Environment: "production"})
	l.Disconnect("web-02")
	require.Equal(t, "1.0", l.Actual(l.Projects["shop"], l.Machines["web-01"]), "its last success still is its release")
	row := rowOf(t, l)
	require.Equal(t, []int{1, 2, 0, 0}, []int{row.Have, row.Failed, row.Offline, row.Behind})
	require.Equal(t, "2 failed", row.State())
	l.Attempt("web-01", "1.0", domain.PartSucceeded, "")
	require.Equal(t, 2, rowOf(t, l).Have)
}

func TestStatusComparesWithTheReleaseOfTheOpenRollout(t *testing.T) {
	l := projectionstest.OneMachine(t)
	l.Attempt("web-01", "1.0", domain.PartSucceeded, "")
	require.Equal(t, "up to date", rowOf(t, l).State())
	l.Release("shop", "1.1")
	d := wide(l, "1.1")
	row := rowOf(t, l)
	require.Equal(t, []string{"1.1", "1.0", d.String()}, []string{row.Release, row.Wanted, row.Deployment})
	require.Equal(t, "rolling out, 1 behind", row.State())
	l.Claim(d, "web-01")
	l.End(d, "web-01", domain.PartSucceeded, "")
	require.Equal(t, 1, rowOf(t, l).Have)
	s := StatusOf(l.View, Filter{}, nil)
	require.Equal(t, []RunningDeployment{{ID: d.String(), Project: "shop", Release: "1.1", Environment: "production",
		Kind: "environment", Machines: 1, Succeeded: 1, By: "ann"}}, s.Running)
	l.Add("project/shop", domain.DeploymentCancelled{Deployment: d, Origin: domain.By("ann")})
	require.Equal(t, "1.0", rowOf(t, l).Release, "a cancelled rollout brings its release to nobody")
}

func TestStatusListsWhatNeedsAttentionTheMostSevereFirst(t *testing.T) {
	l := projectionstest.OneMachine(t)
	l.Join("web-02", "web-03", "web-04")
	require.Empty(t, StatusOf(l.View, Filter{}, nil).Attention)
	l.Add("project/shop", domain.HoldSet{Machine: "web-03", Reason: "rack 7", Origin: domain.By("bob")})
	l.Add("machine/web-04", domain.MachineHealthChanged{Status: domain.Unhealthy, Detail: "no disk", Session: l.Machines["web-04"].Session})
	d := wide(l, "1.0")
	l.Claim(d, "web-01")
	l.End(d, "web-01", domain.PartFailed, domain.StepFailed)
	l.Add("project/shop", domain.DeploymentEnded{Deployment: d, State: domain.DeploymentFailed})
	for range 3 {
		l.Attempt("web-02", "1.0", domain.PartFailed, domain.StepFailed)
	}
	s := StatusOf(l.View, Filter{}, nil)
	var texts []string
	for _, a := range s.Attention {
		texts = append(texts, a.Kind+": "+a.Text+" | "+a.Command)
	}
	require.Equal(t, []string{
		"rollout-failed: shop 1.0 failed in production: 1 of 4 machines failed | drover describe deployment " + d.String(),
		"retries-exhausted: drover gave up on 1 machine of shop in production | drover why web-02 --project shop",
		"unhealthy: 1 machine in production: unhealthy: web-04; web-04: check of policy default: no disk | drover describe machine web-04",
		"held: 1 machine of shop in production: held, by bob (rack 7) | " +
			"drover get machines --state held --project shop --environment production",
	}, texts)
}

func TestStatusOfManyDeploymentsIsBounded(t *testing.T) {
	l := projectionstest.OneMachine(t)
	for range maxRunning {
		l.Add("project/shop", domain.DeploymentQueued{Kind: domain.Automatic, Environment: "production", Release: "1.0",
			Machines: []domain.DeploymentMachine{{Name: "web-01"}}})
	}
	d := wide(l, "1.0")
	s := StatusOf(l.View, Filter{}, nil)
	require.Len(t, s.Running, maxRunning)
	require.Equal(t, len(l.OpenDeployments()), s.RunningTotal)
	require.Equal(t, d.String(), s.Running[0].ID, "those of people first")
}

func TestStatusSelectsProjectAndEnvironment(t *testing.T) {
	l := projectionstest.OneMachine(t)
	l.Add("environment/staging", domain.EnvironmentDefined{})
	l.Project("blog", domain.ProjectSettings{})
	l.Add("machine/db-01", domain.MachineAdded{Environment: "staging"})
	count := func(f Filter) int { return len(StatusOf(l.View, f, nil).Projects) }
	require.Equal(t, 4, count(Filter{}), "two projects, each in two environments")
	require.Equal(t, 2, count(Filter{Project: "blog"}))
	require.Equal(t, 2, count(Filter{Environment: "staging"}))
	require.Equal(t, FleetStatus{Machines: 1}, StatusOf(l.View, Filter{Environment: "staging"}, nil).Fleet)
	only := func(project, environment string) bool {
		return (project == "" || project == "shop") && (environment == "" || environment == "production")
	}
	s := StatusOf(l.View, Filter{Sees: only}, nil)
	require.Len(t, s.Projects, 1)
	require.Equal(t, FleetStatus{Machines: 1, Online: 1}, s.Fleet)
}
