package domain

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestEnvironmentReleaseIsTheLastQueuedSuccess(t *testing.T) {
	for name, c := range map[string]struct{ history, want string }{
		"no release before the first success":                       {"1", ""},
		"a success counts":                                          {"1 1+", "1"},
		"a failure does not count":                                  {"1 1+ 2 2-", "1"},
		"a cancelled deployment does not count":                     {"1 1+ 2 2x", "1"},
		"a running deployment does not count":                       {"1 1+ 2", "1"},
		"the order of queueing counts, not of ending":               {"1 2 2+ 1+", "2"},
		"a late success of an older deployment changes nothing":     {"1 1+ 2 3 3+ 2+", "3"},
		"an older deployment counts while the newer one runs":       {"1 2 1+", "1"},
		"an older deployment counts after the newer one failed":     {"1 2 2- 1+", "1"},
		"a rollback counts like any other environment-wide success": {"1 1+ 2 2+ 1 1+", "1"},
	} {
		t.Run(name, func(t *testing.T) {
			w := shopWorld(t)
			w.history(strings.Fields(c.history)...)
			require.Equal(t, c.want, w.Project("shop").ReleaseIn("production"))
			require.Empty(t, w.Project("shop").ReleaseIn("staging"))
		})
	}
}

func TestNarrowedAndAutomaticDeploymentsDoNotChangeTheWantedRelease(t *testing.T) {
	for _, kind := range []DeploymentKind{Narrowed, Automatic} {
		w := shopWorld(t)
		w.history("1", "1+")
		id := w.record(
			ProjectStream("shop"),
			DeploymentQueued{
				Kind:        kind,
				Environment: "production",
				Release:     "2",
				Machines:    []DeploymentMachine{{Name: "web-01"}},
			},
		)
		w.record(ProjectStream("shop"), DeploymentEnded{Deployment: id, State: DeploymentSucceeded})
		require.Equal(t, "1", w.Project("shop").WantedIn("production"))
		w.rejects(Rollback{Project: "shop", Environment: "production"}, Conflict, "no release to roll back to")
	}
}

func TestRollbackChoosesTheRelease(t *testing.T) {
	for name, c := range map[string]struct{ history, want string }{
		"after a success, the previous release":                               {"1 1+ 2 2+", "1"},
		"while another release runs, the environment's release":               {"1 1+ 2", "1"},
		"after another release failed, the environment's release":             {"1 1+ 2 2-", "1"},
		"after another release was cancelled, the environment's release":      {"1 1+ 2 2x", "1"},
		"the late end of a superseded deployment does not matter":             {"1 1+ 2 3 3+ 2x", "1"},
		"after the environment's release failed again, the release before it": {"1 1+ 2 2+ 2 2-", "1"},
		"while the environment's release runs again, the release before it":   {"1 1+ 2 2+ 2", "1"},
		"never the same release from another deployment":                      {"1 1+ 2 2+ 2 2+", "1"},
		"skips a failure in between":                                          {"1 1+ 2 2- 3 3+", "1"},
		"a late success counts by when it was queued":                         {"1 1+ 2 3 3+ 2+", "2"},
		"after a rollback, the release that was rolled back":                  {"1 1+ 2 2+ 1 1+", "2"},
		"after a failed rollback, the environment's release":                  {"1 1+ 2 2+ 3 3+ 2 2-", "3"},
		"after a cancelled rollback, the environment's release":               {"1 1+ 2 2+ 3 3x 2 2x", "2"},
		"without a release, none":                                             {"", ""},
		"from the first release, none":                                        {"1 1+", ""},
		"without a success, none":                                             {"1 1- 2 2x", ""},
		"while the first release runs, none":                                  {"1", ""},
	} {
		t.Run(name, func(t *testing.T) {
			w := shopWorld(t)
			w.history(strings.Fields(c.history)...)
			rollback := Rollback{Project: "shop", Environment: "production", Origin: By("ann")}
			if c.want == "" {
				w.rejects(rollback, Conflict, "shop has no release to roll back to in production")
				return
			}
			events := w.do(rollback)
			queued := events[len(events)-1].(DeploymentQueued)
			require.Equal(t, c.want, queued.Release)
			require.Equal(t, EnvironmentWide, queued.Kind)
			require.Equal(t, "rollback", queued.Reason)
		})
	}
}

func TestRollbackConsidersOnlyItsEnvironment(t *testing.T) {
	w := shopWorld(t)
	w.history("1", "1+", "2", "2+")
	w.rejects(Rollback{Project: "shop", Environment: "staging"}, Conflict, "in staging")
	w.rejects(Rollback{Project: "shop", Environment: "qa"}, NotFound, `"qa"`)
	w.rejects(Rollback{Project: "blog", Environment: "production"}, NotFound, `"blog"`)
}

func TestPinAllowsOnlyThePinnedRelease(t *testing.T) {
	w := shopWorld(t)
	w.history("1", "1+", "2", "2+")
	w.do(SetPin{Project: "shop", Release: "2", Environment: "production"})
	require.Equal(t, "2", w.Project("shop").WantedIn("production"))

	w.rejects(
		Deploy{Project: "shop", Release: "3", Environment: "production"},
		Conflict,
		"pinned to 2 in production",
		"drover unpin shop --in production",
	)
	w.rejects(
		Deploy{Project: "shop", Release: "3", Environment: "production", Machines: []string{"web-01"}},
		Conflict,
		"pinned",
	)
	w.rejects(Rollback{Project: "shop", Environment: "production"}, Conflict, "pinned")
	w.unfinished["shop web-01"] = "3"
	w.rejects(Retry{Project: "shop", Machine: "web-01"}, Conflict, "pinned")
	w.do(Deploy{Project: "shop", Release: "2", Environment: "production"})
	w.do(Deploy{Project: "shop", Release: "3", Environment: "staging"})

	w.do(LiftPin{Project: "shop", Environment: "production"})
	w.do(Deploy{Project: "shop", Release: "3", Environment: "production"})
	w.rejects(LiftPin{Project: "shop", Environment: "production"}, NotFound, "not pinned")
	w.rejects(
		LiftPin{Project: "shop", Environment: "prod"},
		NotFound,
		`environment "prod" does not exist`,
		"drover get environments",
	)
}

func TestPinnedReleaseStaysWantedAfterOtherReleasesSucceed(t *testing.T) {
	w := shopWorld(t)
	w.history("1", "1+")
	w.do(SetPin{Project: "shop", Release: "3", Environment: "production"})
	w.history("2", "2+")
	require.Equal(t, "3", w.Project("shop").WantedIn("production"))
	require.Equal(t, "2", w.Project("shop").ReleaseIn("production"))
	w.record(ProjectStream("shop"), PinLifted{Environment: "production", Reason: Expired})
	require.Equal(t, "2", w.Project("shop").WantedIn("production"))
}

func TestSetPinWritesOnlyChanges(t *testing.T) {
	w := shopWorld(t)
	until := time.Date(2026, 5, 1, 9, 0, 0, 0, time.UTC)
	local := until.In(time.FixedZone("east", 7200))
	pin := SetPin{
		Project:     "shop",
		Release:     "2",
		Environment: "production",
		Until:       &until,
		Reason:      "fair",
		Origin:      By("ann"),
	}
	require.Len(t, w.do(pin), 1)
	pin.By, pin.Until = "bob", &local
	require.Empty(t, w.do(pin))
	pin.Until = nil
	require.Len(t, w.do(pin), 1)
	w.rejects(SetPin{Project: "shop", Release: "9", Environment: "production"}, NotFound, `no release "9"`)
	w.rejects(SetPin{Project: "shop", Release: "2", Environment: "qa"}, NotFound, `"qa"`)
	w.rejects(
		SetPin{Project: "shop", Release: "2", Environment: "production", Reason: strings.Repeat("x", 501)},
		Invalid,
		"501 bytes",
	)
}

func TestDeployUsesTheProjectsLimitsUnlessOverridden(t *testing.T) {
	w := shopWorld(t)
	require.Equal(
		t,
		[]Event{DeploymentQueued{Kind: EnvironmentWide, Environment: "production", Release: "1", MaxParallel: Count(4),
			StopAfterFailures: 2, Unavailable: FailUnavailable, HealthyFor: Duration(time.Hour), Origin: By("ann"),
			Reason: "monday"}},
		w.do(Deploy{Project: "shop", Release: "1", Environment: "production", Origin: By("ann"), Reason: "monday"}),
	)
	nine, minute := 9, Duration(time.Minute)
	require.Equal(
		t,
		[]Event{
			DeploymentQueued{
				Kind:              Narrowed,
				Environment:       "production",
				Release:           "1",
				MaxParallel:       Count(0),
				StopAfterFailures: 9,
				Unavailable:       FailUnavailable,
				HealthyFor:        minute,
				Machines:          []DeploymentMachine{{Name: "web-01"}, {Name: "web-02"}},
			},
		},
		w.do(
			Deploy{
				Project:           "shop",
				Release:           "1",
				Environment:       "production",
				Machines:          []string{"web-02", "web-01", "web-02"},
				MaxParallel:       &Amount{},
				StopAfterFailures: &nine,
				HealthyFor:        &minute,
			},
		),
	)
	require.Equal(t, []string{"web-01"}, w.do(Deploy{Project: "shop", Release: "1", Environment: "production",
		Exclude: []string{"web-01", "web-01"}})[0].(DeploymentQueued).Exclude)
}

func TestDeployRejectsInvalidRequests(t *testing.T) {
	w := shopWorld(t)
	good := Deploy{Project: "shop", Release: "1", Environment: "production"}
	minus, none, ago := Count(-1), Percent(0), Duration(-time.Second)
	for name, c := range map[string]struct {
		change func(*Deploy)
		kind   RejectionKind
		words  string
	}{
		"unknown project": {func(d *Deploy) {
			d.Project = "blog"
		}, NotFound, `project "blog" does not exist`},
		"unknown release": {func(d *Deploy) { d.Release = "9" }, NotFound, `no release "9"`},
		"release of 300 characters": {func(d *Deploy) {
			d.Release = strings.Repeat("9", 300)
		}, NotFound, "no release"},
		"unknown environment": {func(d *Deploy) {
			d.Environment = "qa"
		}, NotFound, `environment "qa" does not exist`},
		"unknown machine": {func(d *Deploy) {
			d.Machines = []string{"web-01", "nix"}
		}, NotFound, `machine "nix" does not exist`},
		"unknown excluded machine": {func(d *Deploy) { d.Exclude = []string{"nix"} }, NotFound, `machine "nix"`},
		"machine of another environment": {func(d *Deploy) {
			d.Machines = []string{"web-09"}
		}, Conflict, "web-09 is in environment staging, not in production"},
		"machine without the role": {func(d *Deploy) {
			d.Machines = []string{"db-01"}
		}, Conflict, "db-01 has none of the roles of project shop: web"},
		"machines and exclude together": {func(d *Deploy) {
			d.Machines, d.Exclude = []string{"web-01"}, []string{"web-02"}
		}, Invalid, "machines and exclude are both set"},
		"501 machines": {func(d *Deploy) {
			d.Machines = make([]string, 501)
		}, Invalid, "more than 500"},
		"negative maxParallel":              {func(d *Deploy) { d.MaxParallel = &minus }, Invalid, "invalid maxParallel -1"},
		"no percentage of machines at once": {func(d *Deploy) { d.MaxParallel = &none }, Invalid, "invalid maxParallel 0%"},
		"negative healthyFor":               {func(d *Deploy) { d.HealthyFor = &ago }, Invalid, "invalid healthyFor -1s"},
		"reason of 501 bytes":               {func(d *Deploy) { d.Reason = strings.Repeat("x", 501) }, Invalid, "501 bytes"},
	} {
		t.Run(name, func(t *testing.T) {
			d := good
			c.change(&d)
			w.rejects(d, c.kind, c.words)
		})
	}
	w.do(Deploy{Project: "shop", Release: "1", Environment: "production", Exclude: []string{"db-01"}})
}

func TestRetryChoosesTheRelease(t *testing.T) {
	for name, c := range map[string]struct {
		unfinished, history, want string
		hold                      *Hold
	}{
		"the unfinished release":              {"3", "1 1+", "3", nil},
		"otherwise the wanted release":        {"", "1 1+ 2 2-", "1", nil},
		"the release of a hold":               {"", "1 1+", "2", &Hold{Release: "2"}},
		"none without a wanted release":       {"", "2", "", nil},
		"none under a hold without a release": {"", "1 1+", "", &Hold{}},
	} {
		t.Run(name, func(t *testing.T) {
			w := shopWorld(t)
			w.history(strings.Fields(c.history)...)
			w.unfinished["shop web-01"] = c.unfinished
			w.holds["shop web-01"] = c.hold
			retry := Retry{Project: "shop", Machine: "web-01", Origin: By("ann")}
			if c.want == "" {
				w.rejects(retry, Conflict, "project shop has no release to retry on machine web-01")
				return
			}
			events := w.do(retry)
			queued := events[len(events)-1].(DeploymentQueued)
			require.Equal(t, Narrowed, queued.Kind)
			require.Equal(t, []DeploymentMachine{{Name: "web-01"}}, queued.Machines)
			require.Equal(t, c.want, queued.Release)
		})
	}
	w := shopWorld(t)
	w.rejects(Retry{Project: "shop", Machine: "nix"}, NotFound, `machine "nix"`)
	w.rejects(Retry{Project: "blog", Machine: "web-01"}, NotFound, `project "blog"`)
}

func TestCancelStopsAnOpenDeploymentOnce(t *testing.T) {
	w := shopWorld(t)
	open, ended, cancelled, other := number(1), number(2), number(3), number(4)
	w.deployments[open] = &DeploymentFacts{Project: "shop"}
	w.deployments[ended] = &DeploymentFacts{Project: "shop", Ended: true, State: DeploymentSucceeded}
	w.deployments[cancelled] = &DeploymentFacts{
		Project:   "shop",
		Ended:     true,
		Cancelled: true,
		State:     DeploymentCancelledState,
	}
	w.deployments[other] = &DeploymentFacts{Project: "blog"}
	cancel := func(id ID) CancelDeployment {
		return CancelDeployment{Deployment: id, Origin: By("ann")}
	}
	require.Equal(t, []Event{DeploymentCancelled{Deployment: open, Origin: By("ann")}}, w.do(cancel(open)))
	require.Empty(t, w.do(cancel(cancelled)))
	w.rejects(cancel(ended), Conflict, "has ended: succeeded")
	require.Equal(t, "project/blog", cancel(other).Stream(w), "the stream of the deployment's project")
	w.rejects(cancel(number(5)), NotFound, "drover get deployments")
}

func TestSetHoldRecordsTheActualRelease(t *testing.T) {
	w := shopWorld(t)
	instance := number(50)
	w.do(ConnectMachine{Name: "web-01", Server: number(1), Session: number(2), Instance: instance})
	w.actual["shop web-01"] = "1"
	hold := SetHold{Project: "shop", Machine: "web-01", Reason: "noisy", Origin: By("ann")}
	require.Equal(
		t,
		[]Event{HoldSet{Machine: "web-01", Instance: instance, Release: "1", Reason: "noisy", Origin: By("ann")}},
		w.do(hold),
	)
	w.rejects(SetHold{Project: "shop", Machine: "nix"}, NotFound, `"nix"`)
	w.rejects(SetHold{Project: "blog", Machine: "web-01"}, NotFound, `"blog"`)
	w.rejects(LiftHold{Project: "shop", Machine: "web-02"}, NotFound, "not held")
	w.rejects(
		LiftHold{Project: "shop", Machine: "web-77"},
		NotFound,
		`machine "web-77" does not exist`,
		"drover get machines",
	)

	w.holds["shop web-01"] = &Hold{Kind: ManualHold, Instance: instance, Release: "1", Reason: "noisy"}
	t.Run("the same hold again is no change", func(t *testing.T) { require.Empty(t, w.do(hold)) })
	t.Run("the same hold again stops a part that was queued since", func(t *testing.T) {
		w.unclaimed["shop web-01"] = true
		require.Len(t, w.do(hold), 1)
		delete(w.unclaimed, "shop web-01")
	})
	t.Run("another reason or deadline is another hold", func(t *testing.T) {
		until := time.Date(2026, 5, 1, 0, 0, 0, 0, time.UTC)
		require.Len(t, w.do(SetHold{Project: "shop", Machine: "web-01", Reason: "noisy", Until: &until}), 1)
	})
	t.Run("a hold beside the hold of a deployment is a change", func(t *testing.T) {
		w.holds["shop web-01"].Kind = ExcludedHold
		require.Len(t, w.do(hold), 1)
		w.holds["shop web-01"].Kind = ManualHold
	})
	t.Run("a hold after a reinstallation applies to the new instance", func(t *testing.T) {
		w.do(
			DisconnectMachine{Name: "web-01"},
			ConnectMachine{Name: "web-01", Server: number(1), Session: number(3), Instance: number(51), Admin: true},
		)
		w.actual["shop web-01"] = ""
		require.Equal(
			t,
			[]Event{HoldSet{Machine: "web-01", Instance: number(51), Reason: "noisy", Origin: By("ann")}},
			w.do(hold),
		)
		w.holds["shop web-01"] = &Hold{Kind: ManualHold, Instance: number(51), Reason: "noisy"}
		require.Empty(t, w.do(hold))
		w.do(
			DisconnectMachine{Name: "web-01"},
			ConnectMachine{Name: "web-01", Server: number(1), Session: number(4), Instance: number(52), Admin: true},
		)
		require.Len(t, w.do(hold), 1, "two holds without a release, on two instances")
	})
	require.Equal(
		t,
		[]Event{HoldLifted{Machine: "web-01", Reason: Lifted, Origin: By("ann")}},
		w.do(LiftHold{Project: "shop", Machine: "web-01", Origin: By("ann")}),
	)
	t.Run("one kind of hold is lifted", func(t *testing.T) {
		lift := LiftHold{Project: "shop", Machine: "web-01", Kind: ManualHold, Origin: By("ann")}
		require.Equal(t, []Event{HoldLifted{Machine: "web-01", Kind: ManualHold, Reason: Lifted, Origin: By("ann")}},
			w.do(lift))
		lift.Kind = ExcludedHold
		w.rejects(lift, NotFound, `machine "web-01" has no excluded hold for project shop`, "drover why web-01")
		lift.Kind = "verb"
		w.rejects(lift, Invalid, `unknown kind of hold "verb"`, "manual, unproven, narrowed, failed-rollout, excluded")
	})
}

func TestDeployAcceptsTheMaximumOfMachines(t *testing.T) {
	w := shopWorld(t)
	var names []string
	for i := range MaxNamedMachines {
		name := fmt.Sprintf("m-%03d", i)
		names = append(names, name)
		w.do(ApplyMachine{Name: name, Environment: "production", Roles: []string{"web"}})
	}
	deploy := Deploy{Project: "shop", Release: "1", Environment: "production", Machines: names}
	require.Len(t, w.do(deploy)[0].(DeploymentQueued).Machines, MaxNamedMachines)
}

func TestOneLimitOnFailuresReplacesBothOfTheProject(t *testing.T) {
	for name, c := range map[string]struct {
		project     ProjectSettings
		deploy      Deploy
		stopAfter   int
		maxFailures *Amount
	}{
		"the setting of the project":       {ProjectSettings{MaxFailures: &Amount{3, true}}, Deploy{}, 0, &Amount{3, true}},
		"maxFailures of the command":       {ProjectSettings{StopAfterFailures: 2}, Deploy{MaxFailures: &Amount{}}, 0, &Amount{}},
		"stopAfterFailures of the command": {ProjectSettings{MaxFailures: &Amount{3, true}}, Deploy{StopAfterFailures: new(int)}, 0, nil},
		"named machines":                   {ProjectSettings{MaxFailures: &Amount{3, true}}, Deploy{Machines: []string{"web-01"}}, 0, nil},
		"named machines and the command": {ProjectSettings{MaxFailures: &Amount{3, true}},
			Deploy{Machines: []string{"web-01"}, MaxFailures: &Amount{1, false}}, 0, &Amount{1, false}},
	} {
		t.Run(name, func(t *testing.T) {
			w := shopWorld(t)
			project := shopProject()
			project.Settings.StopAfterFailures, project.Settings.MaxFailures = c.project.StopAfterFailures, c.project.MaxFailures
			w.do(project)
			c.deploy.Project, c.deploy.Release, c.deploy.Environment = "shop", "1", "production"
			queued := w.do(c.deploy)[0].(DeploymentQueued)
			require.Equal(t, c.stopAfter, queued.StopAfterFailures)
			require.Equal(t, c.maxFailures, queued.MaxFailures)
		})
	}
	w := shopWorld(t)
	w.rejects(Deploy{Project: "shop", Release: "1", Environment: "production", StopAfterFailures: new(int),
		MaxFailures: &Amount{}}, Invalid, "both set")
	w.rejects(Deploy{Project: "shop", Release: "1", Environment: "production", MaxFailures: &Amount{-1, false}}, Invalid,
		"invalid maxFailures -1")
}
