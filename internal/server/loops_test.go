package server

import (
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// manualClock is a clock that the test advances.
type manualClock struct {
	mu  sync.Mutex
	now time.Duration
}

func (c *manualClock) elapsed() time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *manualClock) advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now += d
}

func TestWatchdogDetectsSuspendedProcess(t *testing.T) {
	clock, woken, paused := &manualClock{}, []time.Duration{}, time.Duration(0)
	w := &watchdog{elapsed: clock.elapsed, late: func(by time.Duration) { woken = append(woken, by) },
		paused: func(d time.Duration) { paused += d }}
	for range 10 {
		clock.advance(beatEvery)
		w.beat()
	}
	require.Zero(t, paused)
	clock.advance(lateAfter)
	w.beat()
	require.Empty(t, woken, "a short pause can come from a busy machine")
	require.Equal(t, lateAfter-beatEvery, paused, "but the pause does not count as missing heartbeats")
	clock.advance(40 * time.Second)
	w.beat()
	w.beat()
	require.Equal(t, []time.Duration{40 * time.Second}, woken, "reported once")
}

func TestSameMessageIsLoggedOncePerMinute(t *testing.T) {
	var m recentMessages
	require.True(t, m.first("no space left"))
	require.False(t, m.first("no space left"))
	require.True(t, m.first("another"))
	m.logged["no space left"] = time.Now().Add(-2 * time.Minute)
	require.True(t, m.first("no space left"))
}

func TestKickNeverBlocks(t *testing.T) {
	r := &run{kicks: make(chan struct{}, 1)}
	for range 100 {
		r.kick()
	}
	require.Len(t, r.kicks, 1, "pending kicks are merged into one reaction")
}
