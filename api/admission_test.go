package api_test

import (
	"context"
	"iter"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/droverhq/drover/eventlog"
	"github.com/droverhq/drover/eventlog/memory"
)

// hangingLog is a log whose reads wait while it hangs.
type hangingLog struct {
	*memory.Log
	hangs   atomic.Bool
	waiting chan struct{} // receives one value for each read that waits
	resumed chan struct{}
}

func (l *hangingLog) ReadAll(ctx context.Context, after eventlog.Position,
	limit int) iter.Seq2[eventlog.Recorded, error] {
	return func(yield func(eventlog.Recorded, error) bool) {
		if l.hangs.Load() {
			l.waiting <- struct{}{}
			select {
			case <-l.resumed:
			case <-ctx.Done():
				yield(eventlog.Recorded{}, ctx.Err())
				return
			}
		}
		l.Log.ReadAll(ctx, after, limit)(yield)
	}
}

func TestAgentThatLeavesWhileTheLogHangsIsNotAdmittedLater(t *testing.T) {
	log := &hangingLog{Log: memory.New(), waiting: make(chan struct{}, 100), resumed: make(chan struct{})}
	hung := newFixtureOn(t, log, &manualClock{})
	hung.shop()
	other := newFixtureOn(t, log.Log, hung.clock)
	h := hello("web-01", hung.join(1))
	receive(hung.dial(h), welcome)

	log.hangs.Store(true)
	tired := hung.dial(h)
	<-log.waiting
	receive(other.dial(h), welcome)
	require.NoError(t, tired.conn.CloseNow())
	ctx, cancel := context.WithTimeout(t.Context(), timeout)
	defer cancel()
	hung.agents.Drain(ctx) // until the server has noticed
	require.NoError(t, ctx.Err(), "the admission waits for the log although the agent has left")

	close(log.resumed)
	require.NoError(t, hung.engine.CatchUp(t.Context()))
	require.Equal(t, 1, hung.events("AgentConnected"), "the session stays on the other server")
}
