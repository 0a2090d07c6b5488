package projections_test

import (
	"bytes"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/droverhq/drover/domain"
	"github.com/droverhq/drover/eventlog"
	"github.com/droverhq/drover/projections"
	"github.com/droverhq/drover/projections/projectionstest"
)

// cleanUp takes a machine offline and deletes it like a server does.
func (f *fleet) cleanUp(name string) (instance domain.ID) {
	m := f.Machines[name]
	f.Add("machine/"+name, domain.MachineWentOffline{Connect: m.Connect, Session: m.Session, Instance: m.Instance,
		Reason: domain.Silent}, domain.MachineDeleted{Reason: domain.CleanUpReason})
	return m.Instance
}

func (f *fleet) undo(name string, instance domain.ID) {
	f.Add("machine/"+name, domain.MachineCleanUpUndone{Instance: instance})
}

func TestUndoneCleanUpRestoresTheState(t *testing.T) {
	b := newFleet(t, 3)
	b.narrowed(domain.PartSucceeded, "web-01")
	until := time.Date(2026, 2, 1, 0, 0, 0, 0, time.UTC)
	b.Add("machine/web-01", domain.MachineDisabled{})
	b.Add("project/shop", domain.HoldSet{Machine: "web-01", Release: "1.0", Until: &until})
	added := b.Machines["web-01"].Added
	instance := b.cleanUp("web-01")
	require.Nil(t, b.Machines["web-01"])
	b.consistent(t)

	b.undo("web-01", instance)
	m := b.Machines["web-01"]
	require.NotNil(t, m)
	require.Equal(t, added, m.Added)
	require.True(t, m.Disabled)
	require.False(t, m.Online)
	require.Equal(t, "1.0", b.Actual(b.Projects["shop"], m))
	require.NotNil(t, m.Hold("shop"))
	require.Nil(t, b.CleanedUp("web-01"))
	b.consistent(t)
}

func TestOnlyTheSameInstanceUndoesACleanUp(t *testing.T) {
	for what, change := range map[string]func(b *fleet, name string, instance domain.ID) domain.ID{
		"another instance": func(_ *fleet, _ string, _ domain.ID) domain.ID { return domain.ID{9: 9} },
		"the name was added again": func(b *fleet, name string, instance domain.ID) domain.ID {
			b.Add("machine/"+name, domain.MachineAdded{Environment: "production"},
				domain.MachineDeleted{Origin: domain.By("ann")})
			return instance
		},
	} {
		t.Run(what, func(t *testing.T) {
			b := newFleet(t, 2)
			b.undo("web-01", change(b, "web-01", b.cleanUp("web-01")))
			require.Nil(t, b.Machines["web-01"])
			b.consistent(t)
		})
	}
	b := newFleet(t, 2)
	instance := b.Machines["web-01"].Instance
	b.Add("machine/web-01", domain.MachineDeleted{Reason: domain.CleanUpReason, Origin: domain.By("ann")})
	b.undo("web-01", instance)
	require.Nil(t, b.Machines["web-01"], "a person deleted it, and gave that reason")
}

// TestWhatHappensToADeletedMachineCountsAfterItsReturn deletes a machine with a claimed part of a person.
func TestWhatHappensToADeletedMachineCountsAfterItsReturn(t *testing.T) {
	b := newFleet(t, 2)
	d := b.Add("project/shop", domain.DeploymentQueued{Kind: domain.EnvironmentWide, Environment: "production",
		Release: "1.0"})
	b.Claim(d, "web-01")
	instance := b.cleanUp("web-01")
	b.consistent(t)
	b.End(d, "web-01", domain.PartLost, domain.NoEndReported)
	b.Add("project/shop", domain.DeploymentEnded{Deployment: d, State: domain.DeploymentFailed})
	b.consistent(t)
	b.undo("web-01", instance)
	m := b.Machines["web-01"]
	require.Nil(t, m.Claimed)
	require.True(t, b.Dirty(b.Projects["shop"], m))
	require.Equal(t, domain.FailedRolloutHold, m.Hold("shop").Kind, "automation does not repair it")
	b.consistent(t)

	b.cleanUp("web-01")
	b.Add(domain.PartStream(d, "web-01"), domain.PartEnded{Project: "shop", State: domain.PartSucceeded,
		Session: session(t, b, d, "web-01")})
	b.undo("web-01", instance)
	require.Equal(t, "1.0", b.Actual(b.Projects["shop"], b.Machines["web-01"]), "its late success counts")
	b.consistent(t)
}

// session returns the session that claimed a part.
func session(t *testing.T, b *fleet, d domain.ID, machine string) domain.ID {
	t.Helper()
	return b.Deployments[d].Parts[machine].Session
}

func TestDeletedProjectsAndTriggersOfAReturningMachineAreForgotten(t *testing.T) {
	b := newFleet(t, 2)
	joins := domain.TriggerDefined{Trigger: "joins", Settings: domain.TriggerSettings{
		Events: []domain.Category{domain.AvailableGroup}, Environments: []string{"production"}}}
	b.Add("project/shop", joins)
	b.Want("1.0")
	b.Connect("web-01", domain.ID{4: 4}, domain.ID{5: 5})
	require.NotEmpty(t, b.Candidates(b.Projects["shop"], b.Machines["web-01"]))
	instance := b.cleanUp("web-01")
	b.Add("project/shop", domain.TriggerDeleted{Trigger: "joins"}, joins)
	b.undo("web-01", instance)
	require.Empty(t, b.Candidates(b.Projects["shop"], b.Machines["web-01"]), "the new trigger counts later events")
	b.consistent(t)

	b.narrowed(domain.PartSucceeded, "web-00")
	instance = b.cleanUp("web-00")
	b.Add("project/shop", domain.ProjectDeleted{})
	b.consistent(t)
	b.undo("web-00", instance)
	require.Empty(t, b.Machines["web-00"].Installed)
	b.consistent(t)
}

// joining is a trigger that asks for machines that come online, and asks again after each absence.
func joining(name string) domain.TriggerDefined {
	return domain.TriggerDefined{Trigger: name, Settings: domain.TriggerSettings{Environments: []string{"production"},
		Events: []domain.Category{domain.AvailableGroup}, Redeploy: true}}
}

// returned is a fleet of web-00 to web-03 with release 1.0, of which web-01 was absent and is due again.
func returned(t *testing.T) (b *fleet, instance domain.ID) {
	b = newFleet(t, 4)
	b.Project("blog", domain.ProjectSettings{}, joining("posts"))
	for _, project := range []string{"shop", "blog"} {
		d := b.Add(domain.ProjectStream(project), domain.DeploymentQueued{Kind: domain.EnvironmentWide,
			Environment: "production", Release: "1.0"})
		for name := range b.Machines {
			b.runPart(d, name, domain.PartSucceeded)
		}
		b.Add(domain.ProjectStream(project), domain.DeploymentEnded{Deployment: d, State: domain.DeploymentSucceeded})
	}
	b.Add("project/shop", joining("joins"))
	instance = b.Machines["web-01"].Instance
	b.Disconnect("web-01")
	b.Connect("web-01", projectionstest.Server, instance)
	require.Equal(t, b.Position, b.redeploy("shop"))
	return b, instance
}

// redeploy returns when a redeployment of a project to web-01 was requested; 0 if none was.
func (f *fleet) redeploy(project string) eventlog.Position {
	var newest eventlog.Position
	for _, c := range f.Candidates(f.Projects[project], f.Machines["web-01"]) {
		newest = max(newest, c.Redeploy)
	}
	return newest
}

func TestRequestedRedeploymentOutlivesACleanUp(t *testing.T) {
	b, instance := returned(t)
	requested := b.Position
	b.cleanUp("web-01")
	b.undo("web-01", instance)
	require.Equal(t, requested, b.redeploy("shop"))
	require.Equal(t, requested, b.redeploy("blog"))
	b.consistent(t)
}

func TestRedeploymentThatIsTurnedOffDuringACleanUpIsDropped(t *testing.T) {
	b, instance := returned(t)
	requested := b.Position
	b.cleanUp("web-01")
	off := joining("joins")
	off.Settings.Redeploy = false
	b.Add("project/shop", off, joining("joins"))
	b.undo("web-01", instance)
	require.Zero(t, b.redeploy("shop"))
	require.Equal(t, requested, b.redeploy("blog"))
}

func TestProjectThatIsDeletedDuringACleanUpStartsEmpty(t *testing.T) {
	b, instance := returned(t)
	requested := b.Position
	b.cleanUp("web-01")
	b.Add("project/shop", domain.ProjectDeleted{})
	b.Project("shop", domain.ProjectSettings{}, joining("joins"))
	b.undo("web-01", instance)
	require.Empty(t, b.Candidates(b.Projects["shop"], b.Machines["web-01"]))
	require.Equal(t, requested, b.redeploy("blog"))
	b.consistent(t)
}

func TestPinDuringACleanUpResetsTheAttemptsOfItsEnvironment(t *testing.T) {
	b, instance := returned(t)
	b.Release("shop", "2.0")
	b.Want("2.0")
	b.Add("environment/staging", domain.EnvironmentDefined{})
	for _, name := range []string{"web-01", "web-02", "web-03"} {
		b.Attempt(name, "2.0", domain.PartFailed, "")
		b.cleanUp(name)
	}
	b.undo("web-01", instance)
	attempts := func(name string) int { return b.CleanedUp(name).Installed["shop"].FailedAttempts.Count }
	b.Add("project/shop", domain.PinSet{Environment: "staging", Release: "1.0", Origin: domain.By("ann")})
	require.Equal(t, 1, attempts("web-02"))
	b.Add("project/shop", domain.PinSet{Environment: "production", Release: "3.0", Origin: domain.By("ann")})
	require.Zero(t, attempts("web-02"))
	require.Zero(t, attempts("web-03"))
	require.NotContains(t, b.Projects["shop"].Sweep(), "web-02", "it does not exist now")
	b.consistent(t)
}

func TestHealthCheckThatIsRemovedDuringACleanUpSaysNothing(t *testing.T) {
	b := newFleet(t, 2)
	policy(b.History, domain.DefaultPolicy, checked)
	b.Add("machine/web-01", domain.MachineHealthChanged{Status: domain.Healthy, Session: b.Machines["web-01"].Session})
	instance := b.cleanUp("web-01")
	policy(b.History, domain.DefaultPolicy, domain.PolicySettings{})
	b.undo("web-01", instance)
	require.Equal(t, domain.HealthUnknown, b.Machines["web-01"].Health)
}

func TestSnapshotKnowsWhetherADeletedMachineHadAHealthCheck(t *testing.T) {
	b := newFleet(t, 2)
	policy(b.History, domain.DefaultPolicy, checked)
	b.Add("machine/web-01", domain.MachineHealthChanged{Status: domain.Healthy})
	instance := b.cleanUp("web-01")
	b.View = reloaded(t, b.View)
	policy(b.History, domain.DefaultPolicy, domain.PolicySettings{})
	b.undo("web-01", instance)
	require.True(t, b.Machines["web-01"].LostCheck)
}

// reloaded saves and loads a view.
func reloaded(t *testing.T, v *projections.View) *projections.View {
	t.Helper()
	var saved bytes.Buffer
	require.NoError(t, v.Save(&saved))
	loaded, err := projections.Load(saved.Bytes())
	require.NoError(t, err)
	return loaded
}

func TestSnapshotKeepsPermissions(t *testing.T) {
	b := newFleet(t, 0)
	deployers := domain.AccessSettings{Projects: []string{"shop"}, Environments: []string{"production"}}
	b.Add(domain.AccessStream("deployers"), domain.AccessDefined{Settings: deployers})
	b.Add(domain.AccessStream("gone"), domain.AccessDefined{}, domain.AccessDeleted{})
	b.Add("token/b", domain.TokenCreated{})
	b.Add("token/a", domain.TokenCreated{})
	w := reloaded(t, b.View).World()
	require.Equal(t, map[string]domain.AccessSettings{"deployers": deployers}, w.Accesses().Settings())
	var tokens []string
	for _, token := range w.Tokens() {
		tokens = append(tokens, token.ID)
	}
	require.Equal(t, []string{"a", "b"}, tokens)
}

func TestSnapshotGivesADeploymentNoReleaseThatWasCreatedLater(t *testing.T) {
	b := newFleet(t, 1)
	d := b.Add("project/shop", domain.DeploymentQueued{Kind: domain.EnvironmentWide, Environment: "production",
		Release: "2.0"})
	b.Release("shop", "2.0")
	require.Nil(t, b.Deployments[d].Content)
	require.Nil(t, reloaded(t, b.View).Deployments[d].Content)
}

func TestUndoneCleanUpResetsTheAbsence(t *testing.T) {
	b := newFleet(t, 2)
	m := b.Machines["web-01"]
	b.Disconnect("web-01")
	server := b.Add("server/"+domain.ID{3: 3}.String(), domain.ServerStarted{DecisionVersion: 1})
	b.Add("watch", domain.WatchPassed{Since: server, Span: domain.Duration(time.Hour)})
	b.Add("machine/web-01", domain.MachineCleanUpHeld{}, domain.MachineDeleted{Reason: domain.CleanUpReason})
	b.Touched()
	b.undo("web-01", m.Instance)
	m = b.Machines["web-01"]
	require.Zero(t, m.Absence)
	require.False(t, m.CleanUpHeld)
	require.Equal(t, []*projections.Record{{Name: "web-01", Machine: m}}, withoutMarks(b.Touched()))
}

// withoutMarks returns records as values that can be compared.
func withoutMarks(records []*projections.Record) (all []*projections.Record) {
	for _, r := range records {
		all = append(all, &projections.Record{Name: r.Name, Machine: r.Machine, Parts: r.Parts})
	}
	return all
}

// An agent that only lost its server was not absent. It was if another server heard nothing from it for offlineAfter, and
// the agent was restarted meanwhile.
func TestOnlyAnAgentThatWasAbsentIsDueAfterItsServerWasGone(t *testing.T) {
	for name, c := range map[string]struct {
		watched                time.Duration // offlineAfter is 30 s
		restarted, anotherDisk bool
		due                    bool
	}{
		"it continues":                  {20 * time.Second, false, false, false},
		"it was restarted in time":      {20 * time.Second, true, false, false},
		"it continues late":             {time.Minute, false, false, false},
		"it was restarted and is late":  {time.Minute, true, false, true},
		"it returned with another disk": {20 * time.Second, false, true, true},
	} {
		t.Run(name, func(t *testing.T) {
			b, instance := returned(t)
			b.narrowed(domain.PartSucceeded, "web-01")
			require.Zero(t, b.redeploy("shop"))
			m := b.Machines["web-01"]
			server := b.Add("server/"+domain.ID{3: 3}.String(), domain.ServerStarted{DecisionVersion: 1})
			b.Add("machine/web-01", domain.MachineWentOffline{Connect: m.Connect, Reason: domain.ServerGone})
			b.Add("watch", domain.WatchPassed{Since: server})
			b.Add("watch", domain.WatchPassed{Since: b.Watch.Last, Span: domain.Duration(c.watched)})
			session := m.Session
			if c.restarted {
				session = domain.ID{5: 5}
			}
			if c.anotherDisk {
				instance = domain.ID{6: 6}
			}
			b.Add("machine/web-01", domain.MachineCameOnline{Session: session, Instance: instance})
			require.Equal(t, c.due, b.redeploy("shop") > 0)
			b.consistent(t)
		})
	}
}

// A part was open before the machine returned: its restart may be an effect of that part (law 6).
func TestReturnFromACleanUpRequestsARedeploymentUnlessAPartIsOpen(t *testing.T) {
	for name, c := range map[string]struct {
		queued, ended bool // before the deletion; before the return
		due           bool
	}{
		"no part":                     {false, true, true},
		"decided before the deletion": {false, false, false},
		"open":                        {true, false, false},
		"ended while it was deleted":  {true, true, false},
	} {
		t.Run(name, func(t *testing.T) {
			b, instance := returned(t)
			b.narrowed(domain.PartSucceeded, "web-01")
			require.Zero(t, b.redeploy("shop"))
			queued := domain.DeploymentQueued{Kind: domain.Narrowed, Environment: "production", Release: "1.0",
				Machines: []domain.DeploymentMachine{{Name: "web-01"}}}
			var d domain.ID
			if c.queued {
				d = b.Add("project/shop", queued)
			}
			b.cleanUp("web-01")
			switch {
			case c.queued && c.ended:
				b.End(d, "web-01", domain.PartSkipped, domain.MachineGone)
				b.Add("project/shop", domain.DeploymentEnded{Deployment: d, State: domain.DeploymentFailed})
			case !c.queued && !c.ended:
				b.Add("project/shop", queued)
			}
			b.undo("web-01", instance)
			b.Connect("web-01", projectionstest.Server, instance)
			require.Equal(t, c.due, b.redeploy("shop") > 0)
		})
	}
}

func TestRetainedCleanUpsAreBounded(t *testing.T) {
	b := newFleet(t, 0)
	instance := domain.ID{1: 1}
	for n := range 10_001 {
		name := fmt.Sprintf("box-%05d", n)
		b.Add("machine/"+name, domain.MachineAdded{Environment: "production"},
			domain.MachineCameOnline{Session: domain.ID{2: 2}, Instance: instance},
			domain.MachineDeleted{Reason: domain.CleanUpReason})
	}
	require.Nil(t, b.CleanedUp("box-00000"), "the oldest one")
	require.NotNil(t, b.CleanedUp("box-00001"))
	require.NotNil(t, b.CleanedUp("box-10000"))
}

func TestUnknownMachineIsAbsentOnceItWasWatched(t *testing.T) {
	b := newFleet(t, 2)
	m := b.Machines["web-01"]
	b.Add("machine/web-01", domain.MachineWentOffline{Connect: m.Connect, Reason: domain.ServerGone})
	require.True(t, m.Unknown)
	watched := func(span time.Duration) {
		since := b.Watch.Last
		if since.IsZero() {
			since = b.Add("server/"+domain.ID{3: 3}.String(), domain.ServerStarted{DecisionVersion: 1})
		}
		b.Add("watch", domain.WatchPassed{Since: since, Span: domain.Duration(span)})
	}
	watched(20 * time.Second)
	require.True(t, m.Unknown, "its policy's offlineAfter is 30 s")
	b.consistent(t)
	watched(10 * time.Second)
	require.False(t, m.Unknown)
	require.Zero(t, m.Absence)
	watched(time.Minute)
	require.Equal(t, time.Minute, m.Absence)
	b.consistent(t)
}
