package domain

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestRotatingTheServerKeyRequiresBothHalves(t *testing.T) {
	for _, c := range []RotateServerKey{{}, {Public: "dsk_a"}, {Secret: "b"}} {
		_, rejection := c.Decide(nil)
		require.Equal(t, Invalid, rejection.Kind)
	}
	c := RotateServerKey{Public: "dsk_a", Secret: "b", Origin: By("ann")}
	events, rejection := c.Decide(nil)
	require.Nil(t, rejection)
	require.Equal(t, []Event{ServerKeyCreated{"dsk_a", "b", By("ann")}}, events)
	require.Equal(t, CommandContent(RotateServerKey{Public: "dsk_c", Secret: "d"}), CommandContent(c),
		"a repeated command brings another key, and is the same command")
}
