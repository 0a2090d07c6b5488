package server

import (
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"go.uber.org/zap"

	"github.com/droverhq/drover/domain"
	"github.com/droverhq/drover/engine"
	"github.com/droverhq/drover/eventlog"
	"github.com/droverhq/drover/eventlog/memory"
)

// jumpingClock is a clock whose wall clock a test sets.
type jumpingClock struct {
	manualClock
	wrong time.Duration
}

func (c *jumpingClock) Elapsed() time.Duration { return c.elapsed() }
func (c *jumpingClock) Now() time.Time {
	return time.Date(2026, 1, 1, 9, 0, 0, 0, time.UTC).Add(c.elapsed() + c.wrong)
}

func TestServerDeletesOldOutputOnlyWhileItsClockIsConfirmed(t *testing.T) {
	log, clock := memory.New(), &jumpingClock{}
	e, err := engine.Open(t.Context(), engine.Config{Log: log, Clock: clock, Server: domain.ID{15: 1}})
	require.NoError(t, err)
	r := &run{engine: e, log: &diskGuard{Backend: log}, clock: clock, logger: zap.NewNop()}
	key := eventlog.OutputKey(uuid.New(), "web-01")
	require.NoError(t, log.Add(t.Context(), eventlog.Output,
		eventlog.Item{Key: key, Sequence: 1, Time: clock.Now(), Data: []byte("installed")}))
	left := func() (chunks int) {
		require.NoError(t, e.RenewLease(t.Context(), log)) // reads the clocks
		r.prune(t.Context())
		for _, err := range log.Items(t.Context(), eventlog.Output, key, 0, 0) {
			require.NoError(t, err)
			chunks++
		}
		return chunks
	}
	require.Equal(t, 1, left())
	clock.wrong = 365 * 24 * time.Hour
	require.Equal(t, 1, left())
	clock.wrong = 0
	clock.advance(outputRetention)
	require.Equal(t, 1, left())
	clock.advance(time.Second)
	require.Zero(t, left(), "the output is older than its retention")
}
