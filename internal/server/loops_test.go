package server

import (
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// hand is a clock that a test moves.
type hand struct {
	mu  sync.Mutex
	now time.Duration
}

func (h *hand) elapsed() time.Duration {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.now
}

func (h *hand) move(d time.Duration) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.now += d
}

func TestAServerThatWasStoppedNoticesBeforeItDecides(t *testing.T) {
	clock, woken, paused := &hand{}, []time.Duration{}, time.Duration(0)
	w := &watchdog{elapsed: clock.elapsed, late: func(by time.Duration) { woken = append(woken, by) }, paused: func(d time.Duration) { paused += d }}
	for range 10 {
		clock.move(beatEvery)
		w.beat()
	}
	require.Zero(t, paused)
	clock.move(lateAfter)
	w.beat()
	require.Empty(t, woken, "a busy machine is no stopped one")
	require.Equal(t, lateAfter-beatEvery, paused, "but what it did not see does not count")
	clock.move(40 * time.Second)
	w.beat()
	w.beat()
	require.Equal(t, []time.Duration{40 * time.Second}, woken, "told once")
}

func TestTheSameFaultIsToldOnceAMinute(t *testing.T) {
	var s said
	require.True(t, s.again("no space left"))
	require.False(t, s.again("no space left"))
	require.True(t, s.again("another"))
	s.when["no space left"] = time.Now().Add(-2 * time.Minute)
	require.True(t, s.again("no space left"))
}

func TestAKickNeverBlocks(t *testing.T) {
	r := &run{kicks: make(chan struct{}, 1)}
	for range 100 {
		r.kick()
	}
	require.Len(t, r.kicks, 1, "many kicks are one reaction")
}
