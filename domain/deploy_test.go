package domain

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestTheEnvironmentsReleaseIsTheSuccessThatWasQueuedLast(t *testing.T) {
	for name, c := range map[string]struct{ history, want string }{
		"nothing before the first success":                  {"1", ""},
		"a success":                                         {"1 1+", "1"},
		"not a failure":                                     {"1 1+ 2 2-", "1"},
		"not a cancelled one":                               {"1 1+ 2 2x", "1"},
		"not one that is still going out":                   {"1 1+ 2", "1"},
		"last is by when it was queued, not when it ended":  {"1 2 2+ 1+", "2"},
		"an older one that succeeds late changes nothing":   {"1 1+ 2 3 3+ 2+", "3"},
		"an older one counts while the newer has not ended": {"1 2 1+", "1"},
		"an older one counts after the newer has failed":    {"1 2 2- 1+", "1"},
		"a rollback is a deployment like any other":         {"1 1+ 2 2+ 1 1+", "1"},
	} {
		t.Run(name, func(t *testing.T) {
			w := shopWorld(t)
			w.history(strings.Fields(c.history)...)
			require.Equal(t, c.want, w.Project("shop").ReleaseIn("production"))
			require.Empty(t, w.Project("shop").ReleaseIn("staging"))
		})
	}
}

func TestNarrowedAndAutomaticDeploymentsNeverChangeWhatAnEnvironmentWants(t *testing.T) {
	for _, kind := range []DeploymentKind{Narrowed, Automatic} {
		w := shopWorld(t)
		w.history("1", "1+")
		id := w.tell(ProjectStream("shop"), DeploymentQueued{Kind: kind, Environment: "production", Release: "2", Machines: []DeploymentMachine{{Name: "web-01"}}})
		w.tell(ProjectStream("shop"), DeploymentEnded{Deployment: id, State: DeploymentSucceeded})
		require.Equal(t, "1", w.Project("shop").WantedIn("production"))
		w.refuses(Rollback{Project: "shop", Environment: "production"}, Conflict, "no release to go back to")
	}
}

func TestRollbackGoesTo(t *testing.T) {
	for name, c := range map[string]struct{ history, want string }{
		"the release before, after a success":                          {"1 1+ 2 2+", "1"},
		"the environment's, while another goes out":                    {"1 1+ 2", "1"},
		"the environment's, after another failed":                      {"1 1+ 2 2-", "1"},
		"the environment's, after another was cancelled":               {"1 1+ 2 2x", "1"},
		"the environment's, when another that it superseded ends last": {"1 1+ 2 3 3+ 2x", "3"},
		"further back, after its own release failed again":             {"1 1+ 2 2+ 2 2-", "1"},
		"further back, while its own release goes out again":           {"1 1+ 2 2+ 2", "1"},
		"never to the same release under another deployment":           {"1 1+ 2 2+ 2 2+", "1"},
		"over a failure in between":                                    {"1 1+ 2 2- 3 3+", "1"},
		"over a late success, which counts by when it was queued":      {"1 1+ 2 3 3+ 2+", "2"},
		"forward again, after a rollback":                              {"1 1+ 2 2+ 1 1+", "2"},
		"the release before even when a rollback to it failed":         {"1 1+ 2 2+ 3 3+ 2 2-", "3"},
		"nowhere when nothing was released":                            {"", ""},
		"nowhere from the first release":                               {"1 1+", ""},
		"nowhere when nothing ever succeeded":                          {"1 1- 2 2x", ""},
		"nowhere while the first goes out":                             {"1", ""},
	} {
		t.Run(name, func(t *testing.T) {
			w := shopWorld(t)
			w.history(strings.Fields(c.history)...)
			rollback := Rollback{Project: "shop", Environment: "production", Origin: By("ann")}
			if c.want == "" {
				w.refuses(rollback, Conflict, "shop has no release to go back to in production")
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

func TestRollbackIsForOneEnvironment(t *testing.T) {
	w := shopWorld(t)
	w.history("1", "1+", "2", "2+")
	w.refuses(Rollback{Project: "shop", Environment: "staging"}, Conflict, "in staging")
	w.refuses(Rollback{Project: "shop", Environment: "qa"}, NotFound, `"qa"`)
	w.refuses(Rollback{Project: "blog", Environment: "production"}, NotFound, `"blog"`)
}

func TestUnderAPinOnlyThePinnedReleaseIsDeployed(t *testing.T) {
	w := shopWorld(t)
	w.history("1", "1+", "2", "2+")
	w.do(SetPin{Project: "shop", Release: "2", Environment: "production"})
	require.Equal(t, "2", w.Project("shop").WantedIn("production"))

	w.refuses(Deploy{Project: "shop", Release: "3", Environment: "production"}, Conflict, "pinned to 2 in production", "drover unpin shop --in production")
	w.refuses(Deploy{Project: "shop", Release: "3", Environment: "production", Machines: []string{"web-01"}}, Conflict, "pinned")
	w.refuses(Rollback{Project: "shop", Environment: "production"}, Conflict, "pinned")
	w.unfinished["shop web-01"] = "3"
	w.refuses(Retry{Project: "shop", Machine: "web-01"}, Conflict, "pinned")
	w.do(Deploy{Project: "shop", Release: "2", Environment: "production"})
	w.do(Deploy{Project: "shop", Release: "3", Environment: "staging"})

	w.do(LiftPin{Project: "shop", Environment: "production"})
	w.do(Deploy{Project: "shop", Release: "3", Environment: "production"})
	w.refuses(LiftPin{Project: "shop", Environment: "production"}, NotFound, "not pinned")
	w.refuses(LiftPin{Project: "shop", Environment: "prod"}, NotFound, `environment "prod" does not exist`, "drover get environments")
}

func TestAPinIsWantedWhateverSucceeds(t *testing.T) {
	w := shopWorld(t)
	w.history("1", "1+")
	w.do(SetPin{Project: "shop", Release: "3", Environment: "production"})
	w.history("2", "2+")
	require.Equal(t, "3", w.Project("shop").WantedIn("production"))
	require.Equal(t, "2", w.Project("shop").ReleaseIn("production"))
	w.tell(ProjectStream("shop"), PinLifted{Environment: "production", Reason: Expired})
	require.Equal(t, "2", w.Project("shop").WantedIn("production"))
}

func TestTheSamePinAgainIsNothingAndAnotherReplacesIt(t *testing.T) {
	w := shopWorld(t)
	until := time.Date(2026, 5, 1, 9, 0, 0, 0, time.UTC)
	elsewhere := until.In(time.FixedZone("there", 7200))
	pin := SetPin{Project: "shop", Release: "2", Environment: "production", Until: &until, Reason: "fair", Origin: By("ann")}
	require.Len(t, w.do(pin), 1)
	pin.By, pin.Until = "bob", &elsewhere
	require.Empty(t, w.do(pin))
	pin.Until = nil
	require.Len(t, w.do(pin), 1)
	w.refuses(SetPin{Project: "shop", Release: "9", Environment: "production"}, NotFound, `no release "9"`)
	w.refuses(SetPin{Project: "shop", Release: "2", Environment: "qa"}, NotFound, `"qa"`)
	w.refuses(SetPin{Project: "shop", Release: "2", Environment: "production", Reason: strings.Repeat("x", 501)}, Invalid, "501 bytes")
}

func TestADeploymentTakesTheProjectsBoundsUnlessToldOthers(t *testing.T) {
	w := shopWorld(t)
	require.Equal(t, []Event{DeploymentQueued{Kind: EnvironmentWide, Environment: "production", Release: "1", MaxParallel: 4,
		StopAfterFailures: 2, Unavailable: FailUnavailable, Origin: By("ann"), Reason: "monday"}},
		w.do(Deploy{Project: "shop", Release: "1", Environment: "production", Origin: By("ann"), Reason: "monday"}))
	zero, nine := 0, 9
	require.Equal(t, []Event{DeploymentQueued{Kind: Narrowed, Environment: "production", Release: "1", MaxParallel: 0, StopAfterFailures: 9,
		Unavailable: FailUnavailable, Machines: []DeploymentMachine{{Name: "web-01"}, {Name: "web-02"}}}},
		w.do(Deploy{Project: "shop", Release: "1", Environment: "production", Machines: []string{"web-02", "web-01", "web-02"}, MaxParallel: &zero, StopAfterFailures: &nine}))
	require.Equal(t, []string{"web-01"}, w.do(Deploy{Project: "shop", Release: "1", Environment: "production",
		Exclude: []string{"web-01", "web-01"}})[0].(DeploymentQueued).Exclude)
}

func TestADeploymentOfWhatIsNotThereIsRefused(t *testing.T) {
	w := shopWorld(t)
	good := Deploy{Project: "shop", Release: "1", Environment: "production"}
	minus := -1
	for name, c := range map[string]struct {
		change func(*Deploy)
		kind   RejectionKind
		words  string
	}{
		"an unknown project":              {func(d *Deploy) { d.Project = "blog" }, NotFound, `project "blog" does not exist`},
		"an unknown release":              {func(d *Deploy) { d.Release = "9" }, NotFound, `no release "9"`},
		"a release of 300 characters":     {func(d *Deploy) { d.Release = strings.Repeat("9", 300) }, NotFound, "no release"},
		"an unknown environment":          {func(d *Deploy) { d.Environment = "qa" }, NotFound, `environment "qa" does not exist`},
		"an unknown machine":              {func(d *Deploy) { d.Machines = []string{"web-01", "nix"} }, NotFound, `machine "nix" does not exist`},
		"an unknown machine to leave out": {func(d *Deploy) { d.Exclude = []string{"nix"} }, NotFound, `machine "nix"`},
		"a machine of elsewhere":          {func(d *Deploy) { d.Machines = []string{"web-09"} }, Conflict, "web-09 is in environment staging, not in production"},
		"a machine without the role":      {func(d *Deploy) { d.Machines = []string{"db-01"} }, Conflict, "db-01 has none of the roles [web]"},
		"machines named and excluded":     {func(d *Deploy) { d.Machines, d.Exclude = []string{"web-01"}, []string{"web-02"} }, Invalid, "both named and excluded"},
		"501 machines":                    {func(d *Deploy) { d.Machines = make([]string, 501) }, Invalid, "more than 500"},
		"a negative bound":                {func(d *Deploy) { d.MaxParallel = &minus }, Invalid, "invalid maxParallel"},
		"a reason of 501 bytes":           {func(d *Deploy) { d.Reason = strings.Repeat("x", 501) }, Invalid, "501 bytes"},
	} {
		t.Run(name, func(t *testing.T) {
			d := good
			c.change(&d)
			w.refuses(d, c.kind, c.words)
		})
	}
	w.do(Deploy{Project: "shop", Release: "1", Environment: "production", Exclude: []string{"db-01"}})
}

func TestRetryTries(t *testing.T) {
	for name, c := range map[string]struct {
		unfinished, history, want string
		hold                      *Hold
	}{
		"what the last attempt did not finish": {"3", "1 1+", "3", nil},
		"else what is wanted":                  {"", "1 1+ 2 2-", "1", nil},
		"what a hold wants":                    {"", "1 1+", "2", &Hold{Release: "2"}},
		"nothing where nothing is wanted":      {"", "2", "", nil},
		"nothing where a hold says as it is":   {"", "1 1+", "", &Hold{}},
	} {
		t.Run(name, func(t *testing.T) {
			w := shopWorld(t)
			w.history(strings.Fields(c.history)...)
			w.unfinished["shop web-01"] = c.unfinished
			w.holds["shop web-01"] = c.hold
			retry := Retry{Project: "shop", Machine: "web-01", Origin: By("ann")}
			if c.want == "" {
				w.refuses(retry, Conflict, "nothing of project shop to try on machine web-01")
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
	w.refuses(Retry{Project: "shop", Machine: "nix"}, NotFound, `machine "nix"`)
	w.refuses(Retry{Project: "blog", Machine: "web-01"}, NotFound, `project "blog"`)
}

func TestCancelStopsWhatIsOpenOnce(t *testing.T) {
	w := shopWorld(t)
	open, ended, cancelled, other := number(1), number(2), number(3), number(4)
	w.deployments[open] = &DeploymentFacts{Project: "shop"}
	w.deployments[ended] = &DeploymentFacts{Project: "shop", Ended: true, State: DeploymentSucceeded}
	w.deployments[cancelled] = &DeploymentFacts{Project: "shop", Ended: true, Cancelled: true, State: DeploymentCancelledAs}
	w.deployments[other] = &DeploymentFacts{Project: "blog"}
	cancel := func(id ID) CancelDeployment {
		return CancelDeployment{Deployment: id, Origin: By("ann")}
	}
	require.Equal(t, []Event{DeploymentCancelled{Deployment: open, Origin: By("ann")}}, w.do(cancel(open)))
	require.Empty(t, w.do(cancel(cancelled)))
	w.refuses(cancel(ended), Conflict, "has ended: succeeded")
	require.Equal(t, "project/blog", cancel(other).Stream(w), "the stream of the deployment's own project guards it")
	w.refuses(cancel(number(5)), NotFound, "drover get deployments")
}

func TestAHoldKeepsWhatTheMachineHas(t *testing.T) {
	w := shopWorld(t)
	instance := number(50)
	w.do(ConnectMachine{Name: "web-01", Server: number(1), Session: number(2), Instance: instance})
	w.actual["shop web-01"] = "1"
	hold := SetHold{Project: "shop", Machine: "web-01", Reason: "noisy", Origin: By("ann")}
	require.Equal(t, []Event{HoldSet{Machine: "web-01", Instance: instance, Release: "1", Reason: "noisy", Origin: By("ann")}}, w.do(hold))
	w.refuses(SetHold{Project: "shop", Machine: "nix"}, NotFound, `"nix"`)
	w.refuses(SetHold{Project: "blog", Machine: "web-01"}, NotFound, `"blog"`)
	w.refuses(LiftHold{Project: "shop", Machine: "web-02"}, NotFound, "not held")
	w.refuses(LiftHold{Project: "shop", Machine: "web-77"}, NotFound, `machine "web-77" does not exist`, "drover get machines")

	w.holds["shop web-01"] = &Hold{Instance: instance, Release: "1", Reason: "noisy"}
	t.Run("the same hold again is nothing", func(t *testing.T) { require.Empty(t, w.do(hold)) })
	t.Run("another reason or end is another hold", func(t *testing.T) {
		until := time.Date(2026, 5, 1, 0, 0, 0, 0, time.UTC)
		require.Len(t, w.do(SetHold{Project: "shop", Machine: "web-01", Reason: "noisy", Until: &until}), 1)
	})
	t.Run("a hold that a deployment left becomes the person's", func(t *testing.T) {
		w.holds["shop web-01"].Deployment = number(9)
		require.Len(t, w.do(hold), 1)
		w.holds["shop web-01"].Deployment = ID{}
	})
	t.Run("after a new disk, the hold is for the new instance", func(t *testing.T) {
		w.do(DisconnectMachine{Name: "web-01"}, ConnectMachine{Name: "web-01", Server: number(1), Session: number(3), Instance: number(51)})
		w.actual["shop web-01"] = ""
		require.Equal(t, []Event{HoldSet{Machine: "web-01", Instance: number(51), Reason: "noisy", Origin: By("ann")}}, w.do(hold))
		w.holds["shop web-01"] = &Hold{Instance: number(51), Reason: "noisy"}
		require.Empty(t, w.do(hold))
		w.do(DisconnectMachine{Name: "web-01"}, ConnectMachine{Name: "web-01", Server: number(1), Session: number(4), Instance: number(52)})
		require.Len(t, w.do(hold), 1, "held as it is, twice, on two disks")
	})
	require.Equal(t, []Event{HoldLifted{Machine: "web-01", Reason: Lifted, Origin: By("ann")}}, w.do(LiftHold{Project: "shop", Machine: "web-01", Origin: By("ann")}))
}

func TestManyMachinesAreNamedInOneDeployment(t *testing.T) {
	w := shopWorld(t)
	var names []string
	for i := range MaxNamedMachines {
		name := fmt.Sprintf("m-%03d", i)
		names = append(names, name)
		w.do(ApplyMachine{Name: name, Environment: "production", Roles: []string{"web"}})
	}
	require.Len(t, w.do(Deploy{Project: "shop", Release: "1", Environment: "production", Machines: names})[0].(DeploymentQueued).Machines, MaxNamedMachines)
}
