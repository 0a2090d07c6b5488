package main

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestQuartersOfRestartsAreCompared(t *testing.T) {
	var all []restartSample
	for i := range 20 {
		all = append(all, restartSample{rss: float64(i)})
	}
	first, last := quarters(all, func(h restartSample) float64 { return h.rss })
	require.Equal(t, []float64{2, 17}, []float64{first, last}, "the means of 0 to 4 and of 15 to 19")
	first, last = quarters(all[:3], func(h restartSample) float64 { return h.rss })
	require.Equal(t, []float64{0, 2}, []float64{first, last}, "with few restarts, the first and the last")
}

func TestEventsAreCountedBySecond(t *testing.T) {
	since := time.Unix(1_800_000_000, 0)
	when := []time.Time{since.Add(100 * time.Millisecond), since.Add(2500 * time.Millisecond),
		since.Add(2900 * time.Millisecond)}
	require.Equal(t, map[int]int{0: 1, 2: 2}, bySecond(when, since))
	require.Equal(t, "1 s: 1, 3 s: 2", spread(when, since))
}
