package projections_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/droverhq/drover/domain"
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
	watched(20 * time.Second)
	require.False(t, m.Unknown)
	require.Zero(t, m.Absence)
	watched(time.Minute)
	require.Equal(t, time.Minute, m.Absence)
	b.consistent(t)
}
