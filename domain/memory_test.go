package domain

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestMemoryIsAcceptedOnceAndThenCleared(t *testing.T) {
	m := &Machine{Name: "web-01", Session: number(1)}
	require.NoError(t, m.Evolve(number(2), MachineMemoryAccepted{}))
	require.True(t, m.MemoryAccepted)
	require.NoError(t, m.Evolve(number(3), MachineMemoryCleared{Accepted: []ID{number(4), number(4)}}))
	require.False(t, m.MemoryAccepted)
	require.Equal(t, []ID{number(4)}, m.AcceptedMemory)
	for n := range 2 * maxAcceptedMemory {
		m.clearMemory([]ID{{1, byte(n), byte(n >> 8)}})
	}
	require.Len(t, m.AcceptedMemory, maxAcceptedMemory, "the list is bounded")
}

func TestMemoryCommandsNeedAMachineAndAnAcceptance(t *testing.T) {
	w := shopWorld(t)
	w.do(ConnectMachine{Name: "web-01", Session: ID{1: 1}, Instance: ID{3: 1}})
	require.Empty(t, w.do(ClearMemory{Name: "web-01"}), "nothing was accepted")
	require.Len(t, w.do(AcceptMemory{Name: "web-01"}), 1)
	require.Empty(t, w.do(AcceptMemory{Name: "web-01"}))
	require.Len(t, w.do(ClearMemory{Name: "web-01"}), 1)
	w.rejects(AcceptMemory{Name: "nix"}, NotFound, `machine "nix" does not exist`)
	w.rejects(ClearMemory{Name: "nix"}, NotFound, `machine "nix" does not exist`)
	w.rejects(AcceptRestore{Was: ID{9: 1}, Except: []string{"nix"}}, NotFound, `machine "nix" does not exist`)
}

func TestOneLineIsShortAndPrintable(t *testing.T) {
	require.Equal(t, "ab", OneLine("a\n\x1b\x00b"))
	require.Len(t, OneLine(strings.Repeat("x", 5000)), maxLineBytes)
	require.LessOrEqual(t, len(OneLine(strings.Repeat("ü", 5000))), maxLineBytes)
}
