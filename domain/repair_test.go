package domain

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// endedDeployment records a deployment of release 1 to production that failed.
func endedDeployment(w *testWorld, change func(*DeploymentFacts)) ID {
	id := number(50)
	facts := &DeploymentFacts{Project: "shop", Environment: "production", Ended: true, State: DeploymentFailed,
		Queued: &DeploymentQueued{Kind: EnvironmentWide, Environment: "production", Release: "1", MaxParallel: Count(7),
			Unavailable: FailUnavailable}}
	if change != nil {
		change(facts)
	}
	w.deployments[id] = facts
	w.repairs = map[ID]RepairFacts{id: {Machines: []string{"web-01", "web-02"}}}
	return id
}

func TestRetryOfADeploymentQueuesItsReleaseWithItsLimits(t *testing.T) {
	w := shopWorld(t)
	id := endedDeployment(w, nil)
	q := w.do(RetryDeployment{Deployment: id, Failed: true, Origin: By("ann")})[0].(DeploymentQueued)
	require.Equal(t, DeploymentQueued{Kind: Narrowed, Environment: "production", Release: "1", MaxParallel: Count(7),
		Unavailable: FailUnavailable, Machines: []DeploymentMachine{{Name: "web-01"}, {Name: "web-02"}},
		Reason: "retry of the failed machines", RetryOf: id, Origin: By("ann")}, q)

	again := number(51)
	w.deployments[again] = &DeploymentFacts{Project: "shop", Environment: "production", Ended: true, Queued: &q}
	w.repairs[again] = RepairFacts{Machines: []string{"web-02"}}
	q = w.do(RetryDeployment{Deployment: again, Failed: true, Skipped: true})[0].(DeploymentQueued)
	require.Equal(t, id, q.RetryOf, "the first deployment decides about the holds")
	require.Equal(t, "retry of the failed and skipped machines", q.Reason)
}

func TestRetryOfADeploymentIsNotLimitedToNamedMachines(t *testing.T) {
	w := shopWorld(t)
	id := endedDeployment(w, nil)
	var machines []string
	for i := range 4 * MaxNamedMachines {
		machines = append(machines, fmt.Sprintf("web-%04d", i))
	}
	w.repairs[id] = RepairFacts{Machines: machines}
	require.Len(t, w.do(RetryDeployment{Deployment: id, Failed: true})[0].(DeploymentQueued).Machines, len(machines))

	long := strings.Repeat("x", 60)
	for i := range 6000 {
		machines = append(machines, fmt.Sprintf("%s%d", long, i))
	}
	w.repairs[id] = RepairFacts{Machines: machines}
	w.rejects(RetryDeployment{Deployment: id, Failed: true}, Invalid, "8000 machines are too many for one retry")
}

func TestRetryOfADeploymentHasTheLimitsOfTheFirstOne(t *testing.T) {
	w := shopWorld(t)
	id := endedDeployment(w, func(d *DeploymentFacts) {
		d.Queued.RoleSlots, d.Queued.StopAfterFailures = map[string]int{"web": 2, "db": 1}, 3
		d.Queued.HealthyFor = Duration(5 * time.Minute)
	})
	w.do(ApplyProject{Name: "shop", Settings: ProjectSettings{MaxParallel: Count(1), StopAfterFailures: 9,
		Steps: []Step{{Name: "install", Run: "true"}}}}) // the limits of now do not count
	q := w.do(RetryDeployment{Deployment: id, Failed: true})[0].(DeploymentQueued)
	require.Equal(t, map[string]int{"web": 2, "db": 1}, q.RoleSlots)
	require.Equal(t, Count(7), q.MaxParallel)
	require.Equal(t, 3, q.StopAfterFailures)
	require.Equal(t, Duration(5*time.Minute), q.HealthyFor)
}

func TestRetryOfADeploymentFitsIntoOneAppend(t *testing.T) {
	w := shopWorld(t)
	id := endedDeployment(w, nil)
	retry := func(count int) ([]Event, *Rejection) {
		machines := make([]string, count)
		for i := range machines {
			machines[i] = fmt.Sprintf("%-63s", fmt.Sprint("web-", i))
		}
		w.repairs[id] = RepairFacts{Machines: machines}
		return RetryDeployment{Deployment: id, Failed: true}.Decide(w)
	}
	const each = 63 + len(`{"name":""},`)
	events, r := retry(maxRepairBytes / each)
	require.Nil(t, r)
	data, err := json.Marshal(events[0])
	require.NoError(t, err)
	require.Less(t, len(data), 512<<10, "what a log accepts in one append")
	require.Greater(t, len(data), maxRepairBytes/each*each, "the bound counts the bytes of the event")
	_, r = retry(maxRepairBytes/each + 1)
	require.NotNil(t, r)
	require.Contains(t, r.Error(), "machines are too many for one retry")
	require.Contains(t, r.Hint, "--only-behind")
}

func TestRetryOfADeploymentIsRefused(t *testing.T) {
	failed := RetryDeployment{Deployment: number(50), Failed: true}
	for name, c := range map[string]struct {
		change  func(*DeploymentFacts)
		before  func(*testWorld)
		command RetryDeployment
		kind    RejectionKind
		words   string
	}{
		"nothing is selected":  {command: RetryDeployment{Deployment: number(50)}, kind: Invalid, words: "no parts of deployment"},
		"unknown":              {command: RetryDeployment{Deployment: number(7), Failed: true}, kind: NotFound, words: "does not exist"},
		"still open":           {change: func(d *DeploymentFacts) { d.Ended = false }, kind: Conflict, words: "has not ended"},
		"pruned":               {change: func(d *DeploymentFacts) { d.Queued = nil }, kind: Conflict, words: "no longer stored"},
		"automatic":            {change: func(d *DeploymentFacts) { d.Queued.Kind = Automatic }, kind: Conflict, words: "is automatic"},
		"project was deleted":  {change: func(d *DeploymentFacts) { d.Project = "gone" }, kind: NotFound, words: `project "gone"`},
		"another release runs": {before: func(w *testWorld) { w.history("2") }, kind: Conflict, words: "of release 2 to production has not ended"},
		"another release is pinned": {before: func(w *testWorld) {
			w.do(SetPin{Project: "shop", Release: "2", Environment: "production"})
		}, kind: Conflict, words: "project shop is pinned to 2"},
		"a later release is wanted": {before: func(w *testWorld) {
			w.repairs[number(50)] = RepairFacts{Machines: []string{"web-01"}, Later: "2"}
		}, kind: Conflict, words: "release 2 of project shop has since been deployed to production"},
		"no machine failed": {before: func(w *testWorld) { w.repairs = nil }, kind: Conflict, words: "has no failed machines to retry"},
		"no machine is left": {before: func(w *testWorld) {
			w.repairs[number(50)] = RepairFacts{Done: 3, Held: 2, Moved: 1, Gone: 4}
		}, kind: Conflict, words: "has no failed machines left to retry: 3 now with the release, 2 held, 1 with a later release, 4 deleted or moved"},
	} {
		t.Run(name, func(t *testing.T) {
			w := shopWorld(t)
			endedDeployment(w, c.change)
			if c.before != nil {
				c.before(w)
			}
			if c.command.Deployment.IsZero() {
				c.command = failed
			}
			w.rejects(c.command, c.kind, c.words)
		})
	}
}

func TestRetryOfADeploymentNeedsThePermissionToDeploy(t *testing.T) {
	w := accessWorld(t)
	id := endedDeployment(w, func(d *DeploymentFacts) { d.Environment = "production" })
	require.Equal(t, []Need{{Verb: DeployVerb, Project: "shop", Environment: "production", Deployment: id}},
		RetryDeployment{Deployment: id}.Needs(w))
	refused := Authorize(w, RetryDeployment{Deployment: id, Failed: true, Origin: from("d")})
	require.NotNil(t, refused, "the token deploys only to staging")
	require.NotContains(t, refused.Error(), "web-01")
}

func TestDeploymentByRoleIsNarrowedAndExcludesOtherSelections(t *testing.T) {
	w := shopWorld(t)
	deploy := Deploy{Project: "shop", Release: "1", Environment: "production", Roles: []string{"web", "db", "web"}}
	w.rejects(deploy, NotFound, "project shop has no machine in production with role db, web")
	w.inScope = true
	q := w.do(deploy)[0].(DeploymentQueued)
	require.Equal(t, Narrowed, q.Kind)
	require.Equal(t, []string{"db", "web"}, q.Roles)
	for _, change := range []func(*Deploy){
		func(d *Deploy) { d.Machines = []string{"web-01"} },
		func(d *Deploy) { d.Exclude = []string{"web-01"} },
		func(d *Deploy) { d.OnlyBehind = true },
	} {
		other := deploy
		change(&other)
		w.rejects(other, Invalid, "roles cannot be combined with machines, exclude or onlyBehind")
	}
	deploy.Roles = make([]string, MaxRoles+1)
	w.rejects(deploy, Invalid, "too many roles")
}

func TestOnlyBehindIsEnvironmentWide(t *testing.T) {
	w := shopWorld(t)
	deploy := Deploy{Project: "shop", Release: "1", Environment: "production", OnlyBehind: true}
	q := w.do(deploy)[0].(DeploymentQueued)
	require.Equal(t, EnvironmentWide, q.Kind)
	require.True(t, q.OnlyBehind)
	deploy.Machines = []string{"web-01"}
	w.rejects(deploy, Invalid, "machines and onlyBehind are both set")
}

func TestRollbackDeploysTheNamedReleaseWithItsReason(t *testing.T) {
	w := shopWorld(t)
	two := Count(2)
	q := w.do(Rollback{Project: "shop", Environment: "production", Release: "1", MaxParallel: &two,
		Reason: "the cache leaks"})[0].(DeploymentQueued)
	require.Equal(t, EnvironmentWide, q.Kind)
	require.Equal(t, "1", q.Release)
	require.Equal(t, two, q.MaxParallel)
	require.Equal(t, "rollback: the cache leaks", q.Reason)
	w.rejects(Rollback{Project: "shop", Environment: "production", Release: "9"}, NotFound, "no release")
	_, r := Rollback{Project: "shop", Environment: "production", Release: "9"}.Decide(w)
	require.Equal(t, "`drover get releases --project shop` lists them", r.Hint)
	w.rejects(Rollback{Project: "shop", Environment: "production"}, Conflict, "no release to roll back to")
}
