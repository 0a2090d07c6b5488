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

// swappableLog is a log that can be replaced while servers use it.
type swappableLog struct{ *memory.Log }

// prefixOf returns a copy of a log that contains only its first n events.
func prefixOf(t *testing.T, log *memory.Log, n eventlog.Position) *memory.Log {
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

// restored returns a running server whose log was restored to a state from before web-01 joined.
func restored(t *testing.T) (*fixture, *swappableLog) {
	f := newFixture(t)
	f.shop()
	s := &swappableLog{f.log}
	var err error
	f.Engine, err = engine.Open(context.Background(), engine.Config{Log: s, Clock: f.clock, Server: domain.ID{15: 2}})
	require.NoError(t, err)
	require.NoError(t, f.Start(context.Background()))
	before := f.Position()
	f.join("web-01", 1)
	s.Log = prefixOf(t, f.log, before)
	f.log = s.Log
	return f, s
}

func (f *fixture) try(c domain.Command) error {
	_, err := f.Handle(context.Background(), f.id(), c)
	return err
}

func TestRestoredLogIsDetectedByRunningServerAndFoldedAgain(t *testing.T) {
	f, s := restored(t)
	require.Empty(t, f.tick().Appended)
	require.ErrorIs(t, f.LostEvents(), engine.ErrLostEvents)
	require.NoError(t, f.Ready(), "agents and people still need a server to talk to")
	f.Read(func(v *projections.View) {
		require.Nil(t, v.Machines["web-01"], "the view matches the log")
	})
	head, err := s.Head(context.Background())
	require.NoError(t, err)
	require.Equal(t, head, f.Position())
	require.ErrorIs(t, f.try(domain.Deploy{Project: "shop", Release: "1.0", Environment: "production"}),
		engine.ErrLostEvents)
}

func TestRestoredLogWithOtherNewEventsIsDetected(t *testing.T) {
	f, s := restored(t)
	for n := range 3 {
		name := string(rune('a' + n))
		_, err := s.Append(context.Background(), "environment/"+name, eventlog.NoStream,
			eventlog.Event{ID: uuid.New(), Type: "environment.defined/v1", Data: []byte(`{}`)})
		require.NoError(t, err)
	}
	require.Empty(t, f.tick().Appended)
	require.ErrorIs(t, f.LostEvents(), engine.ErrLostEvents)
}

func TestRestoreIsAcceptedOnceAndTheLogGetsANewID(t *testing.T) {
	f, _ := restored(t)
	was := f.LogID()
	accept := domain.AcceptRestore{Was: domain.ID(was), At: f.clock.Now(), Origin: domain.By("ann")}
	require.ErrorContains(t, newFixture(t).try(accept), "nothing to accept")
	id := f.id()
	_, err := f.Handle(context.Background(), id, accept)
	require.NoError(t, err)
	require.NoError(t, f.LostEvents())
	require.NotEqual(t, was, f.LogID())
	again, err := f.Handle(context.Background(), id, accept)
	require.NoError(t, err)
	require.True(t, again.Repeat)
	now := f.LogID()
	require.Equal(t, now, f.server(3).LogID(), "a server that starts later has the new id too")
	f.do(domain.Deploy{Project: "shop", Release: "1.0", Environment: "production"})
}

func TestLostEventsReachOtherServersThroughTheLease(t *testing.T) {
	f := newFixture(t)
	f.shop()
	other := f.server(2)
	f.ReportLostEvents("an agent remembers a newer event")
	for _, e := range []*engine.Engine{f.Engine, other} {
		require.NoError(t, e.RenewLease(context.Background(), f.log))
	}
	require.ErrorIs(t, other.LostEvents(), engine.ErrLostEvents)
	r, err := other.Tick(context.Background())
	require.NoError(t, err)
	require.Empty(t, r.Appended)
	_, err = other.Handle(context.Background(), f.id(), domain.AcceptRestore{Was: domain.ID(other.LogID())})
	require.NoError(t, err)
	for range 2 {
		for _, e := range []*engine.Engine{f.Engine, other} {
			require.NoError(t, e.CatchUp(context.Background()))
			require.NoError(t, e.RenewLease(context.Background(), f.log))
			require.NoError(t, e.LostEvents(), "the evidence is about one id of the log")
		}
	}
}

// doubtOf returns the doubt about a machine, or nil.
func doubtOf(e *engine.Engine, machine string) *projections.Doubt {
	v := viewOf(e)
	return v.DoubtOf(v.Machines[machine])
}

func TestCheckAgentMemoryFindsMissingEvents(t *testing.T) {
	f := newFixture(t)
	f.shop()
	f.join("web-01", 1)
	f.do(domain.Deploy{Project: "shop", Release: "1.0", Environment: "production"})
	require.True(t, f.work("web-01", domain.PartSucceeded))
	var newest, deployment, success domain.ID
	var revision eventlog.Revision
	f.Read(func(v *projections.View) {
		newest, revision = v.Newest("machine/web-01"), v.Revision("machine/web-01")
		for id := range v.Deployments {
			deployment, success = id, v.Newest(domain.PartStream(id, "web-01"))
		}
	})
	same := engine.AgentMemory{Log: f.LogID(), Revision: revision, Event: newest,
		Successes:   map[string]domain.ID{"shop": success},
		Deployments: map[string]domain.ID{"shop": deployment}}
	for name, c := range map[string]struct {
		change func(*engine.AgentMemory)
		lost   bool
	}{
		"events that the log has":              {func(*engine.AgentMemory) {}, false},
		"nothing":                              {func(m *engine.AgentMemory) { *m = engine.AgentMemory{} }, false},
		"an event after the end of the stream": {func(m *engine.AgentMemory) { m.Revision += 5 }, true},
		"another event at that revision":       {func(m *engine.AgentMemory) { m.Event = domain.ID{9} }, true},
		"a missing success": {func(m *engine.AgentMemory) { m.Successes = map[string]domain.ID{"shop": {9}} },
			true},
		"a success for a lost project": {func(m *engine.AgentMemory) {
			m.Successes, m.Deployments = map[string]domain.ID{"gone": success}, map[string]domain.ID{"gone": {9}}
		}, true},
		"a success that cannot be looked up": {func(m *engine.AgentMemory) { m.Successes = map[string]domain.ID{"gone": success} }, false},
		"an id that the log never had":       {func(m *engine.AgentMemory) { m.Log = uuid.New() }, true},
		"a log that was created elsewhere": {func(m *engine.AgentMemory) { m.Log, m.OriginalID = uuid.New(), uuid.New() },
			false},
		"a lost restore": {func(m *engine.AgentMemory) { m.Log, m.OriginalID = uuid.New(), f.OriginalID() },
			true},
	} {
		t.Run(name, func(t *testing.T) {
			e := f.Engine
			m := same
			c.change(&m)
			require.NoError(t, e.CheckAgentMemory(context.Background(), "web-01", m))
			require.NoError(t, e.LostEvents(), "one agent stops only its own machine")
			require.Equal(t, c.lost, doubtOf(e, "web-01") != nil)
			require.NoError(t, e.CheckAgentMemory(context.Background(), "web-01", same))
			require.Nil(t, doubtOf(e, "web-01"), "the doubt ends when the log has what the agent remembers")
		})
	}
	t.Run("a success for a deleted project is found", func(t *testing.T) {
		f.do(domain.DeleteProject{Name: "shop"})
		e := f.server(8)
		require.NoError(t, e.CheckAgentMemory(context.Background(), "web-01", same))
		require.NoError(t, e.LostEvents())
	})
}

func TestMachineRestoredFromADiskSnapshotIsNotEvidenceOfLostEvents(t *testing.T) {
	f := newFixture(t)
	f.shop()
	f.join("web-01", 1)
	var first, deployment domain.ID
	for n := range 4 {
		d := f.do(domain.Deploy{Project: "shop", Release: "1.0", Environment: "production"}).Deployment
		require.True(t, f.work("web-01", domain.PartSucceeded))
		if n == 0 {
			f.Read(func(v *projections.View) { first, deployment = v.Newest(domain.PartStream(d, "web-01")), d })
		}
	}
	old := engine.AgentMemory{Log: f.LogID(), Successes: map[string]domain.ID{"shop": first},
		Deployments: map[string]domain.ID{"shop": deployment}}
	require.NoError(t, f.CheckAgentMemory(context.Background(), "web-01", old))
	require.NoError(t, f.LostEvents(), "the log has all events that the machine remembers")
	old.Successes["shop"] = domain.ID{9}
	require.NoError(t, f.CheckAgentMemory(context.Background(), "web-01", old))
	require.NotNil(t, doubtOf(f.Engine, "web-01"))
}

func TestCheckAgentMemoryFailsUntilTheHoldIsWritten(t *testing.T) {
	f, _ := restored(t)
	was := f.LogID()
	f.tick()
	_, err := f.Handle(context.Background(), f.id(), domain.AcceptRestore{Was: domain.ID(was)})
	require.NoError(t, err)
	f.join("web-01", 1)
	f.put("project/shop", "project.defined/v1", `{"settings":7}`)
	lost := engine.AgentMemory{Log: was, Successes: map[string]domain.ID{"shop": {9}}}
	require.Error(t, f.CheckAgentMemory(context.Background(), "web-01", lost),
		"the agent connects again and still remembers")
	f.do(domain.ClearStream{Name: "project/shop"})
	require.NoError(t, f.CheckAgentMemory(context.Background(), "web-01", lost))
	f.Read(func(v *projections.View) { require.NotNil(t, v.Machines["web-01"].Hold("shop")) })
}

func TestMachineWithALostSuccessIsHeld(t *testing.T) {
	f, _ := restored(t)
	was := f.LogID()
	f.tick()
	_, err := f.Handle(context.Background(), f.id(), domain.AcceptRestore{Was: domain.ID(was)})
	require.NoError(t, err)
	f.do(domain.Deploy{Project: "shop", Release: "1.0", Environment: "production"})
	f.join("web-01", 1)
	lost := engine.AgentMemory{Log: was, Successes: map[string]domain.ID{"shop": {9}}}
	require.NoError(t, f.CheckAgentMemory(context.Background(), "web-01", lost))
	require.Empty(t, f.tick().Appended)
	require.False(t, f.work("web-01", domain.PartSucceeded))
	f.do(domain.LiftHold{Project: "shop", Machine: "web-01"})
	f.tick()
	require.True(t, f.work("web-01", domain.PartSucceeded), "a person lifted the hold")
}
