package engine_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/droverhq/drover/domain"
	"github.com/droverhq/drover/engine"
)

func TestOutageOfTheLogEndsNoSessionOfAnotherServer(t *testing.T) {
	f := newFixture(t)
	ctx := context.Background()
	f.shop()
	other := f.server(2)
	require.NoError(t, other.RenewLease(ctx, f.log))
	require.NoError(t, f.RenewLease(ctx, f.log))
	f.joinAt(other.Server(), "web-01", 1)
	require.Error(t, f.RenewLease(ctx, unreadableLeases{f.log}))
	f.clock.now += time.Hour
	require.NoError(t, f.RenewLease(ctx, f.log), "this server is faster than the other one")
	f.pass(0)
	require.True(t, f.online("web-01"))
	f.clock.now += 41 * time.Second
	require.NoError(t, f.RenewLease(ctx, f.log))
	f.pass(0)
	require.False(t, f.online("web-01"), "the other server does not return")
}

func TestSilenceDuringAnOutageOfTheLogEndsNoSession(t *testing.T) {
	f := newFixture(t)
	ctx := context.Background()
	f.shop()
	f.join("web-01", 1)
	f.Heartbeat("web-01", f.connect("web-01"))
	f.pass(20 * time.Second)
	require.Error(t, f.RenewLease(ctx, unreadableLeases{f.log}))
	f.pass(time.Hour)
	require.True(t, f.online("web-01"), "the agent may be unable to connect")
	require.NoError(t, f.RenewLease(ctx, f.log))
	f.pass(9 * time.Second)
	require.True(t, f.online("web-01"), "it was silent for 29 s beside the outage")
	f.pass(2 * time.Second)
	require.False(t, f.online("web-01"))
}

func TestOutageOfTheLogIsExcludedOnce(t *testing.T) {
	f := newFixture(t)
	ctx := context.Background()
	f.shop()
	f.join("web-01", 1)
	f.Heartbeat("web-01", f.connect("web-01"))
	f.pass(20 * time.Second)
	for range 10 { // ten short outages of a second each
		require.Error(t, f.RenewLease(ctx, unreadableLeases{f.log}))
		f.clock.now += time.Second
		require.NoError(t, f.RenewLease(ctx, f.log))
	}
	f.pass(9 * time.Second)
	require.True(t, f.online("web-01"))
	f.pass(2 * time.Second)
	require.False(t, f.online("web-01"))
}

func TestOutageOfTheLogIsNoWatchedAbsence(t *testing.T) {
	f := newFixture(t)
	ctx := context.Background()
	f.shop()
	f.do(domain.ApplyPolicy{Name: "default", Settings: domain.PolicySettings{
		CleanUp: &domain.CleanUp{After: domain.Duration(10 * time.Minute), MaxShare: 100}}})
	f.join("web-01", 1)
	f.do(domain.DisconnectMachine{Name: "web-01", Reason: "reported"})
	require.Error(t, f.RenewLease(ctx, unreadableLeases{f.log}))
	f.clock.now += time.Hour
	require.NoError(t, f.RenewLease(ctx, f.log))
	written, err := f.Tick(ctx)
	require.NoError(t, err)
	require.Empty(t, written.Appended, "this server has watched nothing during the outage")
}

func TestServerIsCutOffWhileItCannotUseTheLog(t *testing.T) {
	f := newFixture(t)
	ctx := context.Background()
	require.Error(t, f.RenewLease(ctx, unreadableLeases{f.log}))
	f.clock.now += engine.CutOffAfter - 1
	require.NoError(t, f.CutOff())
	f.clock.now++
	require.ErrorIs(t, f.CutOff(), engine.ErrCutOff)
	require.ErrorIs(t, f.Ready(), engine.ErrCutOff)
	require.Equal(t, engine.CutOffAfter, f.Outage())
	require.NoError(t, f.RenewLease(ctx, f.log))
	require.NoError(t, f.CutOff())
	require.Zero(t, f.Outage())
}

func TestRequestThatIsCancelledSaysNothingAboutTheLog(t *testing.T) {
	f := newFixture(t)
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	require.Error(t, f.RenewLease(ctx, unreadableLeases{f.log}))
	f.clock.now += time.Hour
	require.NoError(t, f.CutOff())
}
