package agent

import (
	"context"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/zap"

	"github.com/droverhq/drover/agent/journal"
	"github.com/droverhq/drover/api/client"
	"github.com/droverhq/drover/domain"
	"github.com/droverhq/drover/internal/clock"
)

// settableClock is a clock whose wall clock a test can set.
type settableClock struct {
	clock.System
	offset atomic.Int64
}

func (c *settableClock) set(offset time.Duration) { c.offset.Store(int64(offset)) }

func (c *settableClock) Now() time.Time {
	return time.Now().Round(0).Add(time.Duration(c.offset.Load())) // without the monotonic reading of package time
}

// hungConn is a connection to a server that hangs after its welcome: it accepts messages, and sends nothing.
type hungConn struct{ dropped chan struct{} }

func (c *hungConn) Send(context.Context, client.FromAgent) error { return nil }

func (c *hungConn) Receive(ctx context.Context) (client.ToAgent, error) {
	select {
	case <-c.dropped:
		return client.ToAgent{}, context.Canceled
	case <-ctx.Done():
		return client.ToAgent{}, ctx.Err()
	}
}

func (c *hungConn) Ping(ctx context.Context) error {
	<-ctx.Done()
	return ctx.Err()
}

func (c *hungConn) Close() {}

func (c *hungConn) Drop() {
	select {
	case <-c.dropped:
	default:
		close(c.dropped)
	}
}

// secondDial returns how long an agent needs to notice that its server hangs, if its wall clock is set by offset
// shortly after the welcome.
func secondDial(t *testing.T, offset time.Duration) (after time.Duration) {
	t.Helper()
	j, _, err := journal.Open(t.TempDir())
	require.NoError(t, err)
	defer j.Close()
	synctest.Test(t, func(t *testing.T) {
		ctx, stop := context.WithCancel(t.Context())
		settable := &settableClock{System: clock.New()}
		dials := 0
		welcome := client.Welcome{Log: "log-1", Settings: client.Settings{HeartbeatEvery: domain.Duration(10 * time.Second)}}
		open := func(context.Context, string, client.Hello) (connection, client.Welcome, error) {
			if dials++; dials == 2 {
				after = settable.Elapsed()
				stop()
			}
			return &hungConn{dropped: make(chan struct{})}, welcome, nil
		}
		c := Config{Name: "web-01", Servers: []string{"ws://one"}, Logger: zap.NewNop(), Clock: settable}
		time.AfterFunc(time.Second, func() { settable.set(offset) })
		time.AfterFunc(time.Hour, stop)
		require.NoError(t, newSession(c, j, open).run(ctx))
	})
	return after
}

func TestAgentNoticesAHungServerWhenItsWallClockIsSet(t *testing.T) {
	want := secondDial(t, 0)
	require.Greater(t, want, 20*time.Second)
	require.Less(t, want, 45*time.Second)
	for _, offset := range []time.Duration{-24 * time.Hour, 24 * time.Hour} {
		require.InDelta(t, want, secondDial(t, offset), float64(time.Second), "the wall clock is set by %s", offset)
	}
}
