package loglimit

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestFloodOfOneCauseIsCountedAndHidesNoOther(t *testing.T) {
	var l Lines
	now := time.Unix(0, 0)
	written := 0
	for range 1000 {
		if _, ok := l.allow("web-01", now); ok {
			written++
		}
	}
	require.Equal(t, AtOnce, written)
	_, ok := l.allow("web-02", now)
	require.True(t, ok)
	suppressed, ok := l.allow("web-01", now.Add(Every))
	require.True(t, ok)
	require.Equal(t, 1000-AtOnce, suppressed)
	suppressed, ok = l.allow("web-01", now.Add(time.Hour))
	require.True(t, ok)
	require.Zero(t, suppressed, "they are stated once")
}

func TestManyCausesUseBoundedMemory(t *testing.T) {
	var l Lines
	for i := range 3 * maxCauses {
		l.allow(fmt.Sprint(i), time.Unix(0, 0))
	}
	require.LessOrEqual(t, len(l.by), maxCauses)
}
