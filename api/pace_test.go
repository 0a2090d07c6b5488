package api

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/droverhq/drover/access"
)

// busy spends milliseconds on a stream, one at a time, and returns how long that took.
func busy(t *testing.T, p *pace, milliseconds int) time.Duration {
	begun := time.Now()
	for range milliseconds {
		time.Sleep(time.Millisecond)
		p.spend(t.Context(), time.Millisecond)
	}
	return time.Since(begun)
}

func TestLongStreamUsesAThirdOfTheTimeAndTheReadsOfItsTokenDoNotWaitForIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var b readBudget
		caller := access.Caller{Token: "a"}
		p := b.startStream(caller)
		require.Equal(t, 20*time.Millisecond, busy(t, p, 20), "a short one has no pause")
		require.Equal(t, (841+41*42)*time.Millisecond, busy(t, p, 841), "after every 21 ms, a pause of 42 ms")

		pausing := make(chan struct{})
		go func() {
			p.spend(t.Context(), time.Second)
			close(pausing)
		}()
		synctest.Wait()
		begun := time.Now()
		done, err := b.enter(t.Context(), caller)
		require.NoError(t, err)
		done()
		require.Equal(t, begun, time.Now())
		<-pausing
	})
}

func TestStreamsOfOneTokenShareItsTimeAndThoseOfAnotherDoNotWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var b readBudget
		took := make(chan time.Duration, 4)
		for range 4 {
			go func() { took <- busy(t, b.startStream(access.Caller{Token: "a"}), 210) }()
		}
		other := busy(t, b.startStream(access.Caller{Token: "b"}), 210)
		require.Equal(t, (210+10*42)*time.Millisecond, other)
		for range 4 {
			require.Greater(t, <-took, 4*9*42*time.Millisecond)
		}
	})
}

func TestPauseOfAStreamEndsWithItsReader(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var b readBudget
		first, second := b.startStream(access.Caller{Token: "a"}), b.startStream(access.Caller{Token: "a"})
		ctx, leave := context.WithCancel(t.Context())
		leave()
		begun := time.Now()
		first.spend(ctx, time.Hour)
		second.spend(ctx, time.Hour)
		require.Equal(t, begun, time.Now())
		first.stop()
		second.stop()
		require.Empty(t, b.by, "nothing is kept of a token without streams")
	})
}
