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

func (y *yard) online(name string) (online bool) {
	y.Read(func(v *projections.View) { online = v.Machines[name].Online })
	return online
}

func (y *yard) pass(d time.Duration) {
	y.clock.now += d
	_, err := y.React(context.Background())
	require.NoError(y.t, err)
}

func TestASilentMachineIsOfflineAfterItsPolicysGraceAndNoSooner(t *testing.T) {
	y := newYard(t)
	y.shop()
	y.join("web-01", 1)
	y.Heard("web-01", y.connect("web-01"))
	y.pass(29 * time.Second)
	require.True(t, y.online("web-01"))
	y.pass(2 * time.Second)
	require.False(t, y.online("web-01"))
}

func TestAReactionIsDueOnceSomethingFollowsFromWhatIsFolded(t *testing.T) {
	y := newYard(t)
	y.shop()
	y.join("web-01", 1)
	y.Heard("web-01", y.connect("web-01"))
	require.False(t, y.Due())
	y.clock.now += 31 * time.Second
	require.True(t, y.Due())
	require.True(t, y.Due(), "to ask changes nothing")
	require.True(t, y.online("web-01"))
	written, err := y.React(context.Background())
	require.NoError(t, err)
	require.Len(t, written, 1)
	require.False(t, y.Due())
}

func TestAMachineThatConnectsToAServerThatRunsForLongIsNotSilentAtOnce(t *testing.T) {
	y := newYard(t)
	y.shop()
	y.pass(time.Hour)
	y.join("web-01", 1) // nothing was heard of it yet
	require.True(t, y.online("web-01"))
	y.pass(29 * time.Second)
	require.True(t, y.online("web-01"))
	y.pass(2 * time.Second)
	require.False(t, y.online("web-01"))
}

func TestAServerThatWasStoppedDoesNotBlameItsMachines(t *testing.T) {
	y := newYard(t)
	y.shop()
	y.join("web-01", 1)
	y.Heard("web-01", y.connect("web-01"))
	y.clock.now += time.Hour
	y.RestartSilence()
	y.pass(0)
	require.True(t, y.online("web-01"))
	y.pass(31 * time.Second)
	require.False(t, y.online("web-01"))
}

func TestAShortStopOfTheServerDoesNotCountAsSilence(t *testing.T) {
	y := newYard(t)
	y.shop()
	y.do(domain.ApplyPolicy{Name: "default", Settings: domain.PolicySettings{OfflineAfter: domain.Duration(2 * time.Second)}})
	y.join("web-01", 1)
	y.Heard("web-01", y.connect("web-01"))
	y.pass(time.Second)
	y.clock.now += 4 * time.Second
	y.Paused(4 * time.Second)
	y.pass(900 * time.Millisecond)
	require.True(t, y.online("web-01"), "1.9 s while the server ran")
	y.pass(200 * time.Millisecond)
	require.False(t, y.online("web-01"))
}

func TestTheSuccessorOfAKilledServerEndsItsSessionsOnlyAfterLeaseAndGrace(t *testing.T) {
	y := newYard(t)
	ctx := context.Background()
	y.shop()
	require.NoError(t, y.Lease(ctx, y.log))
	y.join("web-01", 1)
	y.join("web-02", 2)

	successor := y.server(2) // the first one was killed
	y.Engine = successor
	lease := func() { require.NoError(t, successor.Lease(ctx, y.log)) }
	lease()
	y.do(domain.ConnectMachine{Name: "web-02", Server: successor.Server(), Session: domain.ID{1: 2}, Instance: domain.ID{2: 2}})
	for range 19 {
		y.clock.now += 2 * time.Second
		lease()
		y.Heard("web-02", y.connect("web-02"))
		y.pass(0)
		require.True(t, y.online("web-01"), "lease 10 s, then the grace of 30 s")
	}
	y.clock.now += 3 * time.Second
	lease()
	y.Heard("web-02", y.connect("web-02"))
	y.pass(0)
	require.False(t, y.online("web-01"))
	require.True(t, y.online("web-02"), "it had moved over")
	var causes int
	for rec, err := range y.log.ReadStream(ctx, "machine/web-02", 0, 0) {
		require.NoError(t, err)
		if rec.Type == domain.TypeName(domain.MachineCameOnline{}) {
			causes++
		}
	}
	require.Equal(t, 1, causes, "a machine that moved over did not come online again")
}

// blind is a log whose leases cannot be reached.
type blind struct{ *memory.Log }

func (blind) Put(context.Context, eventlog.Collection, eventlog.Item) error {
	return eventlog.ErrUnavailable
}

func TestAServerThatDoesNotSeeTheLeasesCallsNobodyGone(t *testing.T) {
	y := newYard(t)
	ctx := context.Background()
	y.shop()
	other := y.server(2)
	require.NoError(t, other.Lease(ctx, y.log))
	require.NoError(t, y.Lease(ctx, y.log))
	y.do(domain.ConnectMachine{Name: y.add("web-01"), Server: other.Server(), Session: domain.ID{1: 1}, Instance: domain.ID{2: 1}})
	for range 60 {
		y.clock.now += 2 * time.Second
		require.NoError(t, other.Lease(ctx, y.log))
		require.ErrorIs(t, y.Lease(ctx, blind{y.log}), eventlog.ErrUnavailable)
		y.pass(0)
		require.True(t, y.online("web-01"))
	}
	require.NoError(t, y.Lease(ctx, y.log))
	y.pass(0)
	require.True(t, y.online("web-01"), "the lease has moved on")
	for range 25 {
		y.clock.now += 2 * time.Second
		require.NoError(t, y.Lease(ctx, y.log))
		y.pass(0)
	}
	require.False(t, y.online("web-01"), "now it stands")
}

func TestAServerThatHasJustStartedIsNotGoneBeforeAnybodySawItsLease(t *testing.T) {
	y := newYard(t)
	ctx := context.Background()
	y.shop()
	y.clock.now += time.Hour
	require.NoError(t, y.Lease(ctx, y.log))
	y.clock.now += time.Second
	other := y.server(2)
	y.do(domain.ConnectMachine{Name: y.add("web-01"), Server: other.Server(), Session: domain.ID{1: 1}, Instance: domain.ID{2: 1}})
	y.pass(0)
	require.True(t, y.online("web-01"))
	for range 20 {
		y.clock.now += 2 * time.Second
		require.NoError(t, y.Lease(ctx, y.log))
		y.pass(0)
	}
	require.False(t, y.online("web-01"), "it never showed a lease")
}

func TestASessionThatBeginsAtAServerThatWasStoppedIsNotEndedAtOnce(t *testing.T) {
	y := newYard(t)
	ctx := context.Background()
	y.shop()
	other := y.server(2)
	require.NoError(t, other.Lease(ctx, y.log))
	for range 60 { // the other one is stopped
		y.clock.now += 2 * time.Second
		require.NoError(t, y.Lease(ctx, y.log))
	}
	y.do(domain.ConnectMachine{Name: y.add("web-01"), Server: other.Server(), Session: domain.ID{1: 1}, Instance: domain.ID{2: 1}})
	y.pass(0)
	require.True(t, y.online("web-01"), "whoever takes a session lives, whatever its lease looked like")
	for range 20 {
		y.clock.now += 2 * time.Second
		require.NoError(t, y.Lease(ctx, y.log))
		y.pass(0)
	}
	require.False(t, y.online("web-01"), "it stands still again")
}

// add registers a machine and returns its name.
func (y *yard) add(name string) string {
	y.do(domain.ApplyMachine{Name: name, Environment: "production"})
	return name
}

func TestWatchedSpansNeverOverlapAndOnlyTheyCountAsAbsence(t *testing.T) {
	y := newYard(t)
	y.shop()
	y.do(domain.ApplyPolicy{Name: "short", Settings: domain.PolicySettings{CleanUp: &domain.CleanUp{After: domain.Duration(20 * time.Minute)}}})
	other := y.server(2)
	for n := byte(1); n <= 6; n++ {
		name := "web-0" + string('0'+rune(n))
		y.do(domain.ApplyMachine{Name: name, Environment: "production", Policy: "short"})
		y.do(domain.ConnectMachine{Name: name, Server: y.Server(), Session: domain.ID{1: n}, Instance: domain.ID{2: n}})
	}
	y.do(domain.DisconnectMachine{Name: "web-01", Reason: "reported"})
	alive := func() {
		for n := byte(2); n <= 6; n++ {
			name := "web-0" + string('0'+rune(n))
			y.Heard(name, y.connect(name))
		}
	}
	start := y.clock.now
	for y.there("web-01") && y.clock.now-start < 2*time.Hour {
		y.clock.now += 15 * time.Second
		alive()
		for _, e := range []*engine.Engine{y.Engine, other} {
			require.NoError(t, e.Lease(context.Background(), y.log))
			_, err := e.Tick(context.Background())
			require.NoError(t, err)
		}
	}
	require.False(t, y.there("web-01"))
	require.GreaterOrEqual(t, y.clock.now-start, 20*time.Minute, "two servers that watch do not count twice")
	require.Less(t, y.clock.now-start, 25*time.Minute)
	require.True(t, y.there("web-02"))
}

func (y *yard) there(name string) (there bool) {
	y.Read(func(v *projections.View) { there = v.Machines[name] != nil })
	return there
}

func TestMoreThanThePolicysShareAbsentAtOnceIsAnOutageAndDeletesNothing(t *testing.T) {
	y := newYard(t)
	y.shop()
	y.do(domain.ApplyPolicy{Name: "short", Settings: domain.PolicySettings{CleanUp: &domain.CleanUp{After: domain.Duration(10 * time.Minute)}}})
	for n := byte(1); n <= 4; n++ {
		name := "web-0" + string('0'+rune(n))
		y.do(domain.ApplyMachine{Name: name, Environment: "production", Policy: "short"})
		y.do(domain.ConnectMachine{Name: name, Server: y.Server(), Session: domain.ID{1: n}, Instance: domain.ID{2: n}})
		y.do(domain.DisconnectMachine{Name: name, Reason: "reported"})
	}
	held := 0
	for range 200 {
		y.clock.now += 15 * time.Second
		for _, w := range y.tick().Appended {
			if _, ok := w.Event.(domain.MachineCleanUpHeld); ok {
				held++
			}
		}
	}
	require.Equal(t, 4, held, "each machine says it once")
	require.True(t, y.there("web-01"))
}

func TestTheLeaseOfAServerThatWasKilledIsForgottenAfterAnHour(t *testing.T) {
	y := newYard(t)
	dead := y.server(2)
	renew := func(servers ...*engine.Engine) int {
		for _, e := range servers {
			require.NoError(t, e.Lease(context.Background(), y.log))
		}
		left, err := y.log.Newest(context.Background(), eventlog.Leases)
		require.NoError(t, err)
		return len(left)
	}
	require.Equal(t, 2, renew(dead, y.Engine))
	for range 60 {
		y.clock.now += time.Minute
		require.Equal(t, 2, renew(y.Engine))
	}
	y.clock.now += time.Minute
	require.Equal(t, 1, renew(y.Engine), "its own stays")
	require.False(t, y.Alive(dead.Server()))
	require.Equal(t, 2, renew(dead, y.Engine), "it was only stopped")
	y.clock.now += time.Second
	renew(dead, y.Engine)
	require.True(t, y.Alive(dead.Server()))
}

func TestALateWordOfASessionThatWasReplacedHidesNoSilence(t *testing.T) {
	y := newYard(t)
	y.shop()
	y.join("web-01", 1)
	old := y.connect("web-01")
	y.Heard("web-01", old)
	y.do(domain.ConnectMachine{Name: "web-01", Server: y.Server(), Session: domain.ID{1: 2}, Instance: domain.ID{2: 1}})
	require.NotEqual(t, old, y.connect("web-01"))
	y.pass(5 * time.Second)
	y.Heard("web-01", old) // its connection was still being read from
	y.pass(24 * time.Second)
	require.True(t, y.online("web-01"))
	y.pass(2 * time.Second)
	require.False(t, y.online("web-01"), "31 s after the new session began")
	y.pass(time.Hour)
	require.False(t, y.online("web-01"))
}
