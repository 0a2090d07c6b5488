package agents

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/zap"

	"github.com/droverhq/drover/access"
	"github.com/droverhq/drover/api/problem"
	"github.com/droverhq/drover/internal/clock"
)

func TestPlainHTTPAgentThatSendsTooMuchWaitsAndIsThenRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := &Hub{cfg: Config{Clock: clock.New()}, log: zap.NewNop(), limited: newLimitCounts()}
		box := access.Caller{Machine: "box-01"}
		send := func(c access.Caller, bytes int64) (time.Duration, error) {
			begun := time.Now()
			err := h.ThrottleRequest(t.Context(), c, bytes)
			return time.Since(begun), err
		}
		for range 1000 {
			took, err := send(box, 0)
			require.NoError(t, err)
			require.Zero(t, took)
		}
		took, err := send(box, 0)
		require.NoError(t, err)
		require.Equal(t, 10*time.Millisecond, took)
		require.EqualValues(t, 1, h.Limited(MessageLimit))

		for _, c := range []access.Caller{{Machine: "box-02"}, {Token: "admin"}} {
			took, err = send(c, 1<<20)
			require.NoError(t, err, "another caller does not wait")
			require.Zero(t, took)
		}
		for range 2 { // 4 + 12 MB at once
			_, err = send(access.Caller{Join: "k"}, 4<<20)
			require.NoError(t, err)
		}
		took, err = send(access.Caller{Join: "k"}, 16<<20) // 12 MB, 2 MB more than there is
		require.NoError(t, err)
		require.Equal(t, 500*time.Millisecond, took)
		took, err = send(access.Caller{Join: "k"}, 16<<20)
		require.ErrorIs(t, err, errTooManyRequests)
		require.Equal(t, 429, problem.Of(err).Status)
		require.Zero(t, took)
		time.Sleep(3 * time.Second)
		took, err = send(access.Caller{Join: "k"}, 16<<20)
		require.NoError(t, err, "a refused request took nothing")
		require.Zero(t, took)
		for _, l := range h.LimitedMachines() {
			require.Equal(t, "box-01", l.Machine, "a token is not a machine")
		}
	})
}
