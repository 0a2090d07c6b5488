package engine_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/droverhq/drover/domain"
	"github.com/droverhq/drover/engine"
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
