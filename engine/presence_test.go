package engine_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/droverhq/drover/domain"
	"github.com/droverhq/drover/engine"
	"github.com/droverhq/drover/eventlog"
	"github.com/droverhq/drover/eventlog/memory"
	"github.com/droverhq/drover/projections"
)

func (f *fixture) online(name string) (online bool) {
	f.Read(func(v *projections.View) { online = v.Machines[name].Online })
	return online
}

func (f *fixture) pass(d time.Duration) {
	f.clock.now += d
	_, err := f.React(context.Background())
	require.NoError(f.t, err)
}

func TestSilentMachineGoesOfflineAfterOfflineAfter(t *testing.T) {
	f := newFixture(t)
	f.shop()
	f.join("web-01", 1)
	f.Heartbeat("web-01", f.connect("web-01"))
	f.pass(29 * time.Second)
	require.True(t, f.online("web-01"))
	f.pass(2 * time.Second)
	require.False(t, f.online("web-01"))
}

func TestReactionIsDueOnceTheViewRequiresOne(t *testing.T) {
	f := newFixture(t)
	f.shop()
	f.join("web-01", 1)
	f.Heartbeat("web-01", f.connect("web-01"))
	require.False(t, f.Due())
	f.clock.now += 31 * time.Second
	require.True(t, f.Due())
	require.True(t, f.Due(), "Due changes nothing")
	require.True(t, f.online("web-01"))
	written, err := f.React(context.Background())
	require.NoError(t, err)
	require.Len(t, written, 1)
	require.False(t, f.Due())
}

func TestMachineThatConnectsToALongRunningServerIsNotSilentAtOnce(t *testing.T) {
	f := newFixture(t)
	f.shop()
	f.pass(time.Hour)
	f.join("web-01", 1) // without a heartbeat yet
	require.True(t, f.online("web-01"))
	f.pass(29 * time.Second)
	require.True(t, f.online("web-01"))
	f.pass(2 * time.Second)
	require.False(t, f.online("web-01"))
}

func TestSuspendedServerDoesNotTakeItsMachinesOffline(t *testing.T) {
	f := newFixture(t)
	f.shop()
	f.join("web-01", 1)
	f.Heartbeat("web-01", f.connect("web-01"))
	f.clock.now += time.Hour
	f.RestartTimeouts()
	f.pass(0)
	require.True(t, f.online("web-01"))
	f.pass(31 * time.Second)
	require.False(t, f.online("web-01"))
}

func TestPauseOfTheServerDoesNotCountAsSilence(t *testing.T) {
	f := newFixture(t)
	f.shop()
	f.do(domain.ApplyPolicy{Name: "default",
		Settings: domain.PolicySettings{OfflineAfter: domain.Duration(2 * time.Second)}})
	f.join("web-01", 1)
	f.Heartbeat("web-01", f.connect("web-01"))
	f.pass(time.Second)
	f.clock.now += 4 * time.Second
	f.Paused(4 * time.Second)
	f.pass(900 * time.Millisecond)
	require.True(t, f.online("web-01"), "silent for 1.9 s of the server's running time")
	f.pass(200 * time.Millisecond)
	require.False(t, f.online("web-01"))
}

func TestSessionsOfAKilledServerEndAfterLeaseStaleAndOfflineAfter(t *testing.T) {
	f := newFixture(t)
	ctx := context.Background()
	f.shop()
	require.NoError(t, f.RenewLease(ctx, f.log))
	f.join("web-01", 1)
	f.join("web-02", 2)

	successor := f.server(2) // the first one was killed
	f.Engine = successor
	lease := func() { require.NoError(t, successor.RenewLease(ctx, f.log)) }
	lease()
	f.do(domain.ConnectMachine{Name: "web-02", Server: successor.Server(), Session: domain.ID{1: 2},
		Instance: domain.ID{2: 2}})
	for range 19 {
		f.clock.now += 2 * time.Second
		lease()
		f.Heartbeat("web-02", f.connect("web-02"))
		f.pass(0)
		require.True(t, f.online("web-01"), "10 s for the lease, then offlineAfter of 30 s")
	}
	f.clock.now += 3 * time.Second
	lease()
	f.Heartbeat("web-02", f.connect("web-02"))
	f.pass(0)
	require.False(t, f.online("web-01"))
	require.True(t, f.online("web-02"), "it had connected to the successor")
	var causes int
	for rec, err := range f.log.ReadStream(ctx, "machine/web-02", 0, 0) {
		require.NoError(t, err)
		if rec.Type == domain.TypeName(domain.MachineCameOnline{}) {
			causes++
		}
	}
	require.Equal(t, 1, causes, "moving to another server does not bring a machine online again")
}

// unreadableLeases is a log whose leases can be neither read nor written.
type unreadableLeases struct{ *memory.Log }

func (unreadableLeases) Put(context.Context, eventlog.Collection, eventlog.Item) error {
	return eventlog.ErrUnavailable
}

func TestServerThatCannotReadLeasesConsidersNoServerGone(t *testing.T) {
	f := newFixture(t)
	ctx := context.Background()
	f.shop()
	other := f.server(2)
	require.NoError(t, other.RenewLease(ctx, f.log))
	require.NoError(t, f.RenewLease(ctx, f.log))
	f.joinAt(other.Server(), "web-01", 1)
	for range 60 {
		f.clock.now += 2 * time.Second
		require.NoError(t, other.RenewLease(ctx, f.log))
		require.ErrorIs(t, f.RenewLease(ctx, unreadableLeases{f.log}), eventlog.ErrUnavailable)
		f.pass(0)
		require.True(t, f.online("web-01"))
	}
	require.NoError(t, f.RenewLease(ctx, f.log))
	f.pass(0)
	require.True(t, f.online("web-01"), "the lease has changed")
	for range 25 {
		f.clock.now += 2 * time.Second
		require.NoError(t, f.RenewLease(ctx, f.log))
		f.pass(0)
	}
	require.False(t, f.online("web-01"), "now the lease stays unchanged")
}

func TestNewServerIsNotGoneBeforeItsFirstLeaseIsRead(t *testing.T) {
	f := newFixture(t)
	ctx := context.Background()
	f.shop()
	f.clock.now += time.Hour
	require.NoError(t, f.RenewLease(ctx, f.log))
	f.clock.now += time.Second
	other := f.server(2)
	f.joinAt(other.Server(), "web-01", 1)
	f.pass(0)
	require.True(t, f.online("web-01"))
	for range 20 {
		f.clock.now += 2 * time.Second
		require.NoError(t, f.RenewLease(ctx, f.log))
		f.pass(0)
	}
	require.False(t, f.online("web-01"), "it never had a lease")
}

func TestNewSessionOnASuspendedServerIsNotEndedAtOnce(t *testing.T) {
	f := newFixture(t)
	ctx := context.Background()
	f.shop()
	other := f.server(2)
	require.NoError(t, other.RenewLease(ctx, f.log))
	for range 60 { // the other server is suspended
		f.clock.now += 2 * time.Second
		require.NoError(t, f.RenewLease(ctx, f.log))
	}
	f.joinAt(other.Server(), "web-01", 1)
	f.pass(0)
	require.True(t, f.online("web-01"), "a server that accepts a session is alive, whatever its lease")
	for range 20 {
		f.clock.now += 2 * time.Second
		require.NoError(t, f.RenewLease(ctx, f.log))
		f.pass(0)
	}
	require.False(t, f.online("web-01"), "its lease stays unchanged again")
}

func TestWatchedSpansDoNotOverlapAndOnlyTheyCountAsAbsence(t *testing.T) {
	f := newFixture(t)
	f.shop()
	f.do(domain.ApplyPolicy{Name: "short",
		Settings: domain.PolicySettings{CleanUp: &domain.CleanUp{After: domain.Duration(20 * time.Minute)}}})
	other := f.server(2)
	for n := byte(1); n <= 6; n++ {
		name := "web-0" + string('0'+rune(n))
		f.do(domain.ApplyMachine{Name: name, Environment: "production", Policy: "short"})
		f.do(domain.ConnectMachine{Name: name, Server: f.Server(), Session: domain.ID{1: n}, Instance: domain.ID{2: n}})
	}
	f.do(domain.DisconnectMachine{Name: "web-01", Reason: "reported"})
	alive := func() {
		for n := byte(2); n <= 6; n++ {
			name := "web-0" + string('0'+rune(n))
			f.Heartbeat(name, f.connect(name))
		}
	}
	start := f.clock.now
	for f.exists("web-01") && f.clock.now-start < 2*time.Hour {
		f.clock.now += 15 * time.Second
		alive()
		for _, e := range []*engine.Engine{f.Engine, other} {
			require.NoError(t, e.RenewLease(context.Background(), f.log))
			_, err := e.Tick(context.Background())
			require.NoError(t, err)
		}
	}
	require.False(t, f.exists("web-01"))
	require.GreaterOrEqual(t, f.clock.now-start, 20*time.Minute, "the watch of two servers does not count twice")
	require.Less(t, f.clock.now-start, 25*time.Minute)
	require.True(t, f.exists("web-02"))
}

func (f *fixture) exists(name string) (there bool) {
	f.Read(func(v *projections.View) { there = v.Machines[name] != nil })
	return there
}

func TestOutageOfMoreThanThePolicysShareDeletesNothing(t *testing.T) {
	f := newFixture(t)
	f.shop()
	f.do(domain.ApplyPolicy{Name: "short",
		Settings: domain.PolicySettings{CleanUp: &domain.CleanUp{After: domain.Duration(10 * time.Minute)}}})
	for n := byte(1); n <= 4; n++ {
		name := "web-0" + string('0'+rune(n))
		f.do(domain.ApplyMachine{Name: name, Environment: "production", Policy: "short"})
		f.do(domain.ConnectMachine{Name: name, Server: f.Server(), Session: domain.ID{1: n}, Instance: domain.ID{2: n}})
		f.do(domain.DisconnectMachine{Name: name, Reason: "reported"})
	}
	held := 0
	for range 200 {
		f.clock.now += 15 * time.Second
		for _, w := range f.tick().Appended {
			if _, ok := w.Event.(domain.MachineCleanUpHeld); ok {
				held++
			}
		}
	}
	require.Equal(t, 4, held, "each machine records it once")
	require.True(t, f.exists("web-01"))
}

func TestLeaseOfAKilledServerIsDroppedAfterAnHour(t *testing.T) {
	f := newFixture(t)
	dead := f.server(2)
	renew := func(servers ...*engine.Engine) int {
		for _, e := range servers {
			require.NoError(t, e.RenewLease(context.Background(), f.log))
		}
		left, err := f.log.Newest(context.Background(), eventlog.Leases)
		require.NoError(t, err)
		return len(left)
	}
	require.Equal(t, 2, renew(dead, f.Engine))
	for range 60 {
		f.clock.now += time.Minute
		require.Equal(t, 2, renew(f.Engine))
	}
	f.clock.now += time.Minute
	require.Equal(t, 1, renew(f.Engine), "its own lease remains")
	require.False(t, f.Alive(dead.Server()))
	require.Equal(t, 2, renew(dead, f.Engine), "the other server was only suspended")
	f.clock.now += time.Second
	renew(dead, f.Engine)
	require.True(t, f.Alive(dead.Server()))
}

func TestLateHeartbeatOfAReplacedSessionDoesNotHideSilence(t *testing.T) {
	f := newFixture(t)
	f.shop()
	f.join("web-01", 1)
	old := f.connect("web-01")
	f.Heartbeat("web-01", old)
	f.do(domain.ConnectMachine{Name: "web-01", Server: f.Server(), Session: domain.ID{1: 2}, Instance: domain.ID{2: 1}})
	require.NotEqual(t, old, f.connect("web-01"))
	f.pass(5 * time.Second)
	f.Heartbeat("web-01", old) // a heartbeat of the old connection arrives late
	f.pass(24 * time.Second)
	require.True(t, f.online("web-01"))
	f.pass(2 * time.Second)
	require.False(t, f.online("web-01"), "31 s after the new session began")
	f.pass(time.Hour)
	require.False(t, f.online("web-01"))
}
