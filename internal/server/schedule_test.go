package server

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

func TestScheduleTicksAtTheStartAndAtEachInterval(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		ticks := 0
		done := make(chan error, 1)
		go func() { done <- schedule(ctx, 15*time.Second, func(context.Context) { ticks++ }) }()
		time.Sleep(61 * time.Second)
		cancel()
		require.NoError(t, <-done)
		require.Equal(t, 5, ticks)
	})
}

func TestScheduleSkipsTicksWhileOneIsRunning(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		running, most, ticks := 0, 0, 0
		done := make(chan error, 1)
		go func() {
			done <- schedule(ctx, time.Second, func(context.Context) {
				running, ticks = running+1, ticks+1
				most = max(most, running)
				time.Sleep(3500 * time.Millisecond)
				running--
			})
		}()
		time.Sleep(20 * time.Second)
		cancel()
		require.NoError(t, <-done)
		require.Equal(t, 1, most)
		require.Greater(t, ticks, 3)
		require.Zero(t, running, "schedule returns after the last tick has returned")
	})
}

func TestScheduleRejectsInvalidIntervals(t *testing.T) {
	for _, every := range []time.Duration{0, time.Millisecond, 1500 * time.Millisecond} {
		require.ErrorContains(t, schedule(t.Context(), every, func(context.Context) {}), "whole seconds")
	}
}
