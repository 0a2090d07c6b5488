package projections_test

import (
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/droverhq/drover/domain"
)

// counted returns the machines that count for a token of a fleet, sorted.
func (f *fleet) counted(token string) []string {
	return slices.Sorted(maps.Keys(f.World().Places(token).Machines))
}

func TestMachineCountsForItsTokenFromItsJoinToItsDeletion(t *testing.T) {
	b := newFleet(t, 1)
	b.Add("token/k", domain.TokenCreated{Settings: domain.TokenSettings{Join: true, MaxMachines: 3}})
	first, second := domain.ID{1: 1}, domain.ID{1: 2}
	use := func(machine string, instance domain.ID) {
		b.Add("token/k", domain.TokenUsed{Instance: instance, Machine: machine})
	}
	count := func() int { return b.World().Places("k").Count(b.View.Time) }

	use("box-1", first)
	require.Empty(t, b.counted("k"))
	require.Equal(t, 1, count(), "a machine that is about to be added counts too")
	b.Add("machine/box-1", domain.MachineAdded{Environment: "production", Origin: domain.AgentOrigin(first)})
	require.Equal(t, []string{"box-1"}, b.counted("k"))
	require.Equal(t, 1, count())
	b.Add("machine/box-1", domain.MachineCameOnline{Instance: first})
	require.Equal(t, []string{"box-1"}, b.counted("k"))
	b.consistent(t)

	b.cleanUp("box-1")
	require.Zero(t, count(), "a cleaned-up machine leaves its place")
	b.consistent(t)
	b.Add("machine/box-1", domain.MachineCleanUpUndone{Instance: first})
	require.Equal(t, []string{"box-1"}, b.counted("k"))

	m := b.Machines["box-1"]
	b.Add("machine/box-1", domain.MachineCameOnline{Instance: second})
	require.Equal(t, second, m.Instance)
	require.Zero(t, count(), "another instance, which did not join with the token, took the name")
	b.consistent(t)
}

func TestMachineThatAPersonAddedCountsOnceItsAgentJoins(t *testing.T) {
	b := newFleet(t, 1)
	b.Add("token/k", domain.TokenCreated{Settings: domain.TokenSettings{Join: true}})
	b.Add("token/other", domain.TokenCreated{Settings: domain.TokenSettings{Join: true}})
	b.Add("machine/box-1", domain.MachineAdded{Environment: "production"})
	b.Add("token/k", domain.TokenUsed{Instance: domain.ID{1: 1}, Machine: "box-1"})
	require.Equal(t, []string{"box-1"}, b.counted("k"))
	b.consistent(t)

	b.Add("token/other", domain.TokenUsed{Instance: domain.ID{1: 2}, Machine: "box-1"})
	require.Empty(t, b.counted("k"), "a later instance joined before the machine was online")
	require.Equal(t, []string{"box-1"}, b.counted("other"))
	b.Add("machine/box-1", domain.MachineCameOnline{Instance: domain.ID{1: 1}})
	require.Equal(t, []string{"box-1"}, b.counted("k"))
	require.Empty(t, b.counted("other"))
	b.Add("machine/box-1", domain.MachineDeleted{Origin: domain.By("ann")})
	require.Empty(t, b.counted("k"))
	b.consistent(t)
}

func TestUsesWithoutAMachineNoLongerCountAndAreBounded(t *testing.T) {
	b := newFleet(t, 1)
	b.Add("token/k", domain.TokenCreated{Settings: domain.TokenSettings{Join: true}})
	b.Add("token/k", domain.TokenUsed{Instance: domain.ID{1: 1}, Machine: "box-1"})
	b.Wait(domain.JoiningFor)
	b.Add("token/k", domain.TokenUsed{Instance: domain.ID{1: 2}, Machine: "box-2"})
	require.Equal(t, 1, b.World().Places("k").Count(b.View.Time))
	for i := range 1000 {
		b.Add("token/k", domain.TokenUsed{Instance: domain.ID{2: byte(i), 3: byte(i >> 8)}, Machine: fmt.Sprint("box-", i+3)})
	}
	joining := b.World().Places("k").Joining
	require.Len(t, joining, 1000)
	require.NotContains(t, joining, "box-2", "the oldest are forgotten")
	b.consistent(t)
}

func TestUseWithAWrongTimeHidesNoOtherUse(t *testing.T) {
	b := newFleet(t, 1)
	b.Add("token/k", domain.TokenCreated{Settings: domain.TokenSettings{Join: true}})
	b.Add("token/k", domain.TokenUsed{Instance: domain.ID{1: 1}, Machine: "box-1"})
	now := b.View.Time
	b.Wait(365 * 24 * time.Hour) // the clock of the server that records the next use is wrong
	b.Add("token/k", domain.TokenUsed{Instance: domain.ID{1: 2}, Machine: "box-2"})
	places := b.World().Places("k")
	require.Equal(t, []string{"box-1", "box-2"}, slices.Sorted(maps.Keys(places.Joining)))
	require.Equal(t, 1, places.Count(now), "only the first one keeps its place")
}
