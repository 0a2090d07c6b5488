package domain

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// places returns places with existing machines, and with others that are joining since a time.
func places(since time.Time, existing []string, joining ...string) Places {
	p := Places{Machines: map[string]struct{}{}, Joining: map[string]time.Time{}}
	for _, name := range existing {
		p.Machines[name] = struct{}{}
	}
	for _, name := range joining {
		p.Joining[name] = since
	}
	return p
}

func TestJoinTokenAllowsOnlySoManyMachinesAtATime(t *testing.T) {
	w := shopWorld(t)
	token(w, TokenSettings{MaxMachines: 2})
	w.places = map[string]Places{"k": places(sampleTime, []string{"a"}, "b")}
	w.rejects(use(203, "c"), Forbidden, "machine c cannot join", "token k has reached its machine limit of 2",
		"use another token")

	require.Len(t, w.do(use(202, "b")), 1, "a machine that already counts needs no other place")
	w.places = map[string]Places{"k": places(sampleTime, []string{"a"})}
	require.Len(t, w.do(use(203, "c")), 1, "a deleted machine leaves its place")
}

func TestUseThatNoMachineFollowsLeavesItsPlaceAfterTenMinutes(t *testing.T) {
	w := shopWorld(t)
	token(w, TokenSettings{MaxMachines: 1})
	w.places = map[string]Places{"k": places(sampleTime.Add(-10*time.Minute+time.Second), nil, "a")}
	w.rejects(use(203, "c"), Forbidden, "machine limit of 1")
	w.places = map[string]Places{"k": places(sampleTime.Add(-10*time.Minute), nil, "a")}
	require.Len(t, w.do(use(203, "c")), 1)
}

func TestUseWithATimeInTheFutureKeepsNoPlace(t *testing.T) {
	w := shopWorld(t)
	token(w, TokenSettings{MaxMachines: 1})
	w.places = map[string]Places{"k": places(sampleTime.Add(time.Minute), nil, "a")}
	w.rejects(use(203, "c"), Forbidden, "machine limit of 1")
	w.places = map[string]Places{"k": places(sampleTime.AddDate(1, 0, 0), nil, "a")}
	require.Len(t, w.do(use(203, "c")), 1)
}

func TestTokenWithoutAMaximumAllowsAnyNumberOfMachines(t *testing.T) {
	w := shopWorld(t)
	token(w, TokenSettings{})
	w.places = map[string]Places{"k": places(sampleTime, []string{"a", "b", "d", "e"})}
	require.Len(t, w.do(use(203, "c")), 1)
}

func TestOnlyJoinTokensLimitMachines(t *testing.T) {
	w := shopWorld(t)
	w.rejects(CreateToken{ID: "x", Settings: TokenSettings{Scope: ReadScope, MaxMachines: 3}}, Invalid,
		"only a join token can limit the number of machines")
	w.rejects(CreateToken{ID: "x", Settings: TokenSettings{Join: true, MaxMachines: -1}}, Invalid,
		"invalid maxMachines -1", "0 for no limit")
}

func TestDeletedMachineReturnsOnlyToAFreePlace(t *testing.T) {
	w := shopWorld(t)
	token(w, TokenSettings{MaxMachines: 1})
	w.do(use(203, "c"))
	returns := func(machine string) (string, *Rejection) { return PlaceToReturn(w, number(203), machine, sampleTime) }

	limiting, full := returns("c")
	require.Nil(t, full)
	require.Equal(t, "k", limiting)

	w.places = map[string]Places{"k": places(sampleTime, []string{"a"})}
	_, full = returns("c")
	require.NotNil(t, full)
	require.Contains(t, full.Error(), "machine c cannot join")
	_, full = returns("d")
	require.Nil(t, full, "the instance joined as another machine")

	w.do(CreateToken{ID: "other", Settings: TokenSettings{Join: true, AnyEnvironment: true}, Hash: "h"})
	second := use(203, "c")
	second.ID = "other"
	w.do(second)
	limiting, full = returns("c")
	require.Nil(t, full, "another token of the instance allows it")
	require.Empty(t, limiting)
}
