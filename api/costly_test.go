package api

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/droverhq/drover/access"
)

func TestCostlyReadsOfOneTokenAreAnsweredOneAfterAnother(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var b readBudget
		done, err := b.enter(t.Context(), access.Caller{Token: "a"})
		require.NoError(t, err)
		answered := false
		go func() {
			next, err := b.enter(t.Context(), access.Caller{Token: "a"})
			require.NoError(t, err)
			answered = true
			next()
		}()
		synctest.Wait()
		require.False(t, answered, "the first one is not answered yet")
		other, err := b.enter(t.Context(), access.Caller{Token: "b"})
		require.NoError(t, err, "another token does not wait")
		other()

		time.Sleep(100 * time.Millisecond) // how long the read takes, on the clock of the test
		done()
		time.Sleep(100 * time.Millisecond)
		synctest.Wait()
		require.False(t, answered, "a long read is followed by a pause")
		time.Sleep(101 * time.Millisecond)
		synctest.Wait()
		require.True(t, answered)
		require.Empty(t, b.by)
	})
}

func TestTooManyCostlyReadsOfOneTokenAreRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var b readBudget
		done, err := b.enter(t.Context(), access.Caller{Token: "a"})
		require.NoError(t, err)
		ctx, leave := context.WithCancel(t.Context())
		for range maxWaitingReads {
			go func() {
				_, err := b.enter(ctx, access.Caller{Token: "a"})
				require.ErrorIs(t, err, errTooManyReads)
			}()
		}
		synctest.Wait()
		_, err = b.enter(t.Context(), access.Caller{Token: "a"})
		require.ErrorIs(t, err, errTooManyReads)
		leave()
		synctest.Wait()
		done()
		require.Empty(t, b.by, "nothing is kept of a token without reads")
		require.EqualValues(t, maxWaitingReads+1, b.limited.Load())
	})
}

func TestShortCostlyReadsHaveNoPause(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var b readBudget
		for range 100 {
			done, err := b.enter(t.Context(), access.Caller{Token: "a"})
			require.NoError(t, err)
			done()
		}
		require.Zero(t, b.limited.Load())
	})
}
