package clock_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/droverhq/drover/internal/clock"
)

func TestSleepWaitsForTheDurationOrTheContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		require.NoError(t, clock.Sleep(t.Context(), time.Minute))
		require.Equal(t, time.Minute, time.Since(start))
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		require.ErrorIs(t, clock.Sleep(ctx, time.Hour), context.DeadlineExceeded)
	})
}

func TestWaitReturnsWhenItIsWoken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start, wake := time.Now(), make(chan struct{})
		time.AfterFunc(time.Second, func() { close(wake) })
		require.NoError(t, clock.Wait(t.Context(), time.Hour, wake))
		require.Equal(t, time.Second, time.Since(start))
	})
}
