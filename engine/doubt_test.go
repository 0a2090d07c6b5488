package engine_test

import (
	"context"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/droverhq/drover/domain"
	"github.com/droverhq/drover/engine"
	"github.com/droverhq/drover/eventlog"
	"github.com/droverhq/drover/eventlog/memory"
	"github.com/droverhq/drover/projections"
)

// swapped is a log in whose place another can be put under the servers that use it.
type swapped struct{ *memory.Log }

// until is a log with the first n events of another.
func until(t *testing.T, log *memory.Log, n eventlog.Position) *memory.Log {
	id, err := log.ID(context.Background())
	require.NoError(t, err)
	older := memory.Open(memory.Config{ID: id})
	for rec, err := range log.ReadAll(context.Background(), 0, int(n)) {
		require.NoError(t, err)
		_, err = older.Append(context.Background(), rec.Stream, rec.Revision-1, rec.Event)
		require.NoError(t, err)
	}
	return older
}

// restored is a server that runs while its log is put back to a moment at which web-01 had not joined.
func restored(t *testing.T) (*yard, *swapped) {
	y := newYard(t)
	y.shop()
	s := &swapped{y.log}
	var err error
	y.Engine, err = engine.Open(context.Background(), engine.Config{Log: s, Clock: y.clock, Server: domain.ID{15: 2}})
	require.NoError(t, err)
	require.NoError(t, y.Start(context.Background()))
	before := y.Position()
	y.join("web-01", 1)
	s.Log = until(t, y.log, before)
	y.log = s.Log
	return y, s
}

func (y *yard) tries(c domain.Command) error {
	_, err := y.Handle(context.Background(), y.id(), c)
	return err
}

func TestALogThatWasPutBackUnderARunningServerIsNoticedAndFoldedAfresh(t *testing.T) {
	y, s := restored(t)
	require.Empty(t, y.tick().Appended)
	require.ErrorIs(t, y.Doubted(), engine.ErrDoubted)
	require.NoError(t, y.Ready(), "agents and people still need a server to talk to")
	y.Read(func(v *projections.View) {
		require.Nil(t, v.Machines["web-01"], "the view is that of the log as it is")
	})
	head, err := s.Head(context.Background())
	require.NoError(t, err)
	require.Equal(t, head, y.Position())
	require.ErrorIs(t, y.tries(domain.Deploy{Project: "shop", Release: "1.0", Environment: "production"}), engine.ErrDoubted)
}

func TestALogThatGrewDifferentlySinceItWasPutBackIsNoticedToo(t *testing.T) {
	y, s := restored(t)
	for n := range 3 {
		name := string(rune('a' + n))
		_, err := s.Append(context.Background(), "environment/"+name, eventlog.NoStream, eventlog.Event{ID: uuid.New(), Type: "environment.defined/v1", Data: []byte(`{}`)})
		require.NoError(t, err)
	}
	require.Empty(t, y.tick().Appended)
	require.ErrorIs(t, y.Doubted(), engine.ErrDoubted)
}

func TestARestoreIsAcceptedOnceAndTheLogGoesByAnotherId(t *testing.T) {
	y, _ := restored(t)
	was := y.LogID()
	accept := domain.AcceptRestore{Was: domain.ID(was), At: y.clock.Now(), Origin: domain.By("ann")}
	require.ErrorContains(t, newYard(t).tries(accept), "nothing to accept")
	id := y.id()
	_, err := y.Handle(context.Background(), id, accept)
	require.NoError(t, err)
	require.NoError(t, y.Doubted())
	require.NotEqual(t, was, y.LogID())
	again, err := y.Handle(context.Background(), id, accept)
	require.NoError(t, err)
	require.True(t, again.Repeat)
	now := y.LogID()
	require.Equal(t, now, y.server(3).LogID(), "a server that starts later knows the id too")
	y.do(domain.Deploy{Project: "shop", Release: "1.0", Environment: "production"})
}

func TestADoubtReachesTheOtherServersByTheLease(t *testing.T) {
	y := newYard(t)
	y.shop()
	other := y.server(2)
	y.Doubt("somebody remembers more")
	for _, e := range []*engine.Engine{y.Engine, other} {
		require.NoError(t, e.Lease(context.Background(), y.log))
	}
	require.ErrorIs(t, other.Doubted(), engine.ErrDoubted)
	r, err := other.Tick(context.Background())
	require.NoError(t, err)
	require.Empty(t, r.Appended)
	_, err = other.Handle(context.Background(), y.id(), domain.AcceptRestore{Was: domain.ID(other.LogID())})
	require.NoError(t, err)
	for range 2 {
		for _, e := range []*engine.Engine{y.Engine, other} {
			require.NoError(t, e.CatchUp(context.Background()))
			require.NoError(t, e.Lease(context.Background(), y.log))
			require.NoError(t, e.Doubted(), "a doubt is about one id of the log")
		}
	}
}

func TestWhatAnAgentRemembersIsLookedUp(t *testing.T) {
	y := newYard(t)
	y.shop()
	y.join("web-01", 1)
	y.do(domain.Deploy{Project: "shop", Release: "1.0", Environment: "production"})
	require.True(t, y.work("web-01", domain.PartSucceeded))
	var newest, deployment, success domain.ID
	var revision eventlog.Revision
	y.Read(func(v *projections.View) {
		newest, revision = v.Newest("machine/web-01"), v.Revision("machine/web-01")
		for id := range v.Deployments {
			deployment, success = id, v.Newest(domain.PartStream(id, "web-01"))
		}
	})
	same := engine.Memory{Log: y.LogID(), Revision: revision, Event: newest, Successes: map[string]domain.ID{"shop": success},
		Deployments: map[string]domain.ID{"shop": deployment}}
	for name, c := range map[string]struct {
		change func(*engine.Memory)
		doubt  bool
	}{
		"what the log has":            {func(*engine.Memory) {}, false},
		"nothing":                     {func(m *engine.Memory) { *m = engine.Memory{} }, false},
		"an event beyond the stream":  {func(m *engine.Memory) { m.Revision += 5 }, true},
		"another event at that place": {func(m *engine.Memory) { m.Event = domain.ID{9} }, true},
		"a success that is not there": {func(m *engine.Memory) { m.Successes = map[string]domain.ID{"shop": {9}} }, true},
		"a success of a lost project": {func(m *engine.Memory) {
			m.Successes, m.Deployments = map[string]domain.ID{"gone": success}, map[string]domain.ID{"gone": {9}}
		}, true},
		"a success that cannot be looked up": {func(m *engine.Memory) { m.Successes = map[string]domain.ID{"gone": success} }, false},
		"an id the log never went by":        {func(m *engine.Memory) { m.Log = uuid.New() }, true},
		"a log that was made elsewhere":      {func(m *engine.Memory) { m.Log, m.Made = uuid.New(), uuid.New() }, false},
		"a restore that was lost again":      {func(m *engine.Memory) { m.Log, m.Made = uuid.New(), y.Made() }, true},
	} {
		t.Run(name, func(t *testing.T) {
			e := y.server(7)
			m := same
			c.change(&m)
			require.NoError(t, e.Compare(context.Background(), "web-01", m))
			require.Equal(t, c.doubt, e.Doubted() != nil)
		})
	}
	t.Run("a success whose project was deleted since is there all the same", func(t *testing.T) {
		y.do(domain.DeleteProject{Name: "shop"})
		e := y.server(8)
		require.NoError(t, e.Compare(context.Background(), "web-01", same))
		require.NoError(t, e.Doubted())
	})
}

func TestAMachineThatWasPutBackToASnapshotOfItsDiskIsNoWitnessAgainstTheLog(t *testing.T) {
	y := newYard(t)
	y.shop()
	y.join("web-01", 1)
	var first, deployment domain.ID
	for n := range 4 {
		d := y.do(domain.Deploy{Project: "shop", Release: "1.0", Environment: "production"}).Deployment
		require.True(t, y.work("web-01", domain.PartSucceeded))
		if n == 0 {
			y.Read(func(v *projections.View) { first, deployment = v.Newest(domain.PartStream(d, "web-01")), d })
		}
	}
	old := engine.Memory{Log: y.LogID(), Successes: map[string]domain.ID{"shop": first}, Deployments: map[string]domain.ID{"shop": deployment}}
	require.NoError(t, y.Compare(context.Background(), "web-01", old))
	require.NoError(t, y.Doubted(), "the log has all of it, and more")
	old.Successes["shop"] = domain.ID{9}
	require.NoError(t, y.Compare(context.Background(), "web-01", old))
	require.ErrorIs(t, y.Doubted(), engine.ErrDoubted)
}

func TestAMachineIsNotWelcomedBeforeItsHoldCanBeWritten(t *testing.T) {
	y, _ := restored(t)
	was := y.LogID()
	y.tick()
	_, err := y.Handle(context.Background(), y.id(), domain.AcceptRestore{Was: domain.ID(was)})
	require.NoError(t, err)
	y.join("web-01", 1)
	y.put("project/shop", "project.defined/v1", `{"settings":7}`)
	lost := engine.Memory{Log: was, Successes: map[string]domain.ID{"shop": {9}}}
	require.Error(t, y.Compare(context.Background(), "web-01", lost), "it comes again, and remembers until then")
	y.do(domain.ClearStream{Name: "project/shop"})
	require.NoError(t, y.Compare(context.Background(), "web-01", lost))
	y.Read(func(v *projections.View) { require.NotNil(t, v.Machines["web-01"].Installed["shop"].Hold) })
}

func TestAMachineWhoseSuccessTheLogHasLostIsHeldAsItIs(t *testing.T) {
	y, _ := restored(t)
	was := y.LogID()
	y.tick()
	_, err := y.Handle(context.Background(), y.id(), domain.AcceptRestore{Was: domain.ID(was)})
	require.NoError(t, err)
	y.do(domain.Deploy{Project: "shop", Release: "1.0", Environment: "production"})
	y.join("web-01", 1)
	lost := engine.Memory{Log: was, Successes: map[string]domain.ID{"shop": {9}}}
	require.NoError(t, y.Compare(context.Background(), "web-01", lost))
	require.Empty(t, y.tick().Appended)
	require.False(t, y.work("web-01", domain.PartSucceeded))
	y.do(domain.LiftHold{Project: "shop", Machine: "web-01"})
	y.tick()
	require.True(t, y.work("web-01", domain.PartSucceeded), "a person said so")
}
