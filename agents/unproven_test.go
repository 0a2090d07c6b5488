package agents

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestUnprovenConnectionsUseBoundedNumberAndMemory(t *testing.T) {
	u := newUnproven(8, 1000)
	var open []*helloBudget
	for i := range 8 {
		b, ok := u.enter(fmt.Sprintf("192.0.2.%d:1", i))
		require.True(t, ok)
		open = append(open, b)
	}
	_, ok := u.enter("192.0.2.99:1")
	require.False(t, ok, "the number is bounded")

	require.True(t, open[0].reserve(600))
	require.False(t, open[1].reserve(500), "the memory is bounded")
	open[0].release()
	open[0].release()
	require.Equal(t, usage{7, 0}, u.usage(), "a connection is returned once")
	require.True(t, open[1].reserve(500))
	for _, b := range open {
		b.release()
	}
	require.Equal(t, usage{}, u.usage())
	require.Empty(t, u.by)
}

func TestOneNetworkLeavesUnprovenConnectionsToOthers(t *testing.T) {
	u := newUnproven(8, 1000)
	for i := range 6 {
		_, ok := u.enter(fmt.Sprintf("192.0.2.1:%d", 1000+i))
		require.True(t, ok)
	}
	_, ok := u.enter("192.0.2.1:2000")
	require.False(t, ok)
	other, ok := u.enter("192.0.2.2:1")
	require.True(t, ok)
	require.False(t, other.reserve(751))
	require.True(t, other.reserve(750))
	_, ok = u.enter("127.0.0.1:1")
	require.True(t, ok, "a proxy on this machine has no share")
}
