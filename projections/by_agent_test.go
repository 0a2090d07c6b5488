package projections_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/droverhq/drover/domain"
)

// leave takes a machine offline and deletes it like its own agent does.
func (f *fleet) leave(name string) (instance domain.ID) {
	m := f.Machines[name]
	f.Add("machine/"+name, domain.MachineWentOffline{Connect: m.Connect, Session: m.Session, Instance: m.Instance,
		Reason: "said-goodbye"},
		domain.MachineDeleted{Reason: domain.EphemeralReason, Origin: domain.AgentOrigin(m.Instance)})
	return m.Instance
}

func TestDeletionByItsAgentIsUndoneForTheSameInstance(t *testing.T) {
	b := newFleet(t, 2)
	b.narrowed(domain.PartSucceeded, "web-01")
	b.Add("machine/web-01", domain.MachineDisabled{})
	instance := b.leave("web-01")
	require.Nil(t, b.Machines["web-01"])
	require.True(t, b.World().DeletedByItsAgent("web-01"))
	b.consistent(t)
	b.undo("web-01", instance)
	require.True(t, b.Machines["web-01"].Disabled)
	require.NotEmpty(t, b.Actual(b.Projects["shop"], b.Machines["web-01"]))
	b.consistent(t)
}

func TestAnotherInstanceKeepsWhatAPersonSetForTheName(t *testing.T) {
	b := newFleet(t, 4)
	until := time.Date(2026, 2, 1, 0, 0, 0, 0, time.UTC)
	b.narrowed(domain.PartSucceeded, "web-01")
	for _, name := range []string{"web-01", "web-02"} {
		b.Add("machine/"+name, domain.MachineDisabled{})
		b.Add("project/shop", domain.HoldSet{Machine: name, Release: "1.0", Until: &until})
	}
	b.leave("web-01")
	b.Add("machine/web-01", domain.MachineAdded{Environment: "production", Keeps: true, Origin: domain.By("agent")})
	m := b.Machines["web-01"]
	require.True(t, m.Disabled)
	require.Equal(t, domain.ManualHold, m.Hold("shop").Kind)
	require.Equal(t, &until, m.Hold("shop").Until)
	require.Len(t, m.Installed["shop"].Holds, 1, "the hold of a deployment ends")
	require.Empty(t, b.Actual(b.Projects["shop"], m), "nothing is installed")
	b.consistent(t)

	b.leave("web-02")
	b.Add("machine/web-02", domain.MachineAdded{Environment: "production", Origin: domain.By("ann")})
	require.False(t, b.Machines["web-02"].Disabled, "a person added it")
	require.Nil(t, b.Machines["web-02"].Hold("shop"))

	b.cleanUp("web-03")
	b.Add("machine/web-03", domain.MachineDeleted{Origin: domain.By("ann")})
	require.Nil(t, b.CleanedUp("web-03"), "a person's deletion ends what is retained")
	b.consistent(t)
}

func TestAgentsThatDeleteMachinesDisplaceNoChoiceAndNoCleanUp(t *testing.T) {
	b := newFleet(t, 4)
	b.Add("machine/web-01", domain.MachineDisabled{})
	b.leave("web-01")
	b.cleanUp("web-02")
	for n := range 1_001 {
		name := fmt.Sprintf("box-%d", n)
		b.Add("machine/"+name, domain.MachineAdded{Environment: "production"},
			domain.MachineDeleted{Reason: domain.EphemeralReason, Origin: domain.By("agent")})
	}
	require.NotNil(t, b.CleanedUp("web-01"), "a person disabled it")
	require.NotNil(t, b.CleanedUp("web-02"))
	require.Nil(t, b.CleanedUp("box-0"))
	require.Nil(t, b.CleanedUp("box-1"))
	require.NotNil(t, b.CleanedUp("box-2"))
	b.consistent(t)
}

func TestBoundJoinCountsUntilTheMachineGetsAnotherInstance(t *testing.T) {
	b := newFleet(t, 2)
	b.Add("token/bound", domain.TokenCreated{Settings: domain.TokenSettings{Join: true, Machine: "web-01"}})
	b.Add("token/open", domain.TokenCreated{Settings: domain.TokenSettings{Join: true}})
	use := func(token, machine string, instance domain.ID) {
		b.Add("token/"+token, domain.TokenUsed{Instance: instance, Machine: machine})
	}
	first, second, third := domain.ID{1: 1}, domain.ID{1: 2}, domain.ID{1: 3}
	use("bound", "web-01", first)
	use("bound", "web-01", second)
	use("open", "web-01", third)
	require.True(t, b.World().JoinedAs("web-01", first))
	require.True(t, b.World().JoinedAs("web-01", second))
	require.False(t, b.World().JoinedAs("web-01", third))
	require.False(t, b.World().JoinedAs("web-02", first))
	m := b.Machines["web-01"]
	b.Add("machine/web-01", domain.MachineWentOffline{Connect: m.Connect, Session: m.Session, Instance: m.Instance},
		domain.MachineCameOnline{Instance: second})
	require.False(t, b.World().JoinedAs("web-01", first))
	require.False(t, b.World().JoinedAs("web-01", second))
	require.Equal(t, "web-01", b.World().MachineOf(second))
	require.Empty(t, b.World().MachineOf(first), "the machine has another instance")
}
