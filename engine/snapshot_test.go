package engine_test

import (
	"context"
	"fmt"
	"iter"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/droverhq/drover/domain"
	"github.com/droverhq/drover/engine"
	"github.com/droverhq/drover/eventlog"
	"github.com/droverhq/drover/eventlog/memory"
	"github.com/droverhq/drover/projections"
)

// memorySnapshots stores a snapshot in memory.
type memorySnapshots struct {
	data   []byte
	stored int
	full   bool
}

func (s *memorySnapshots) Load() ([]byte, error) { return s.data, nil }
func (s *memorySnapshots) Store(data []byte) error {
	if s.full {
		return eventlog.ErrFull
	}
	s.data, s.stored = data, s.stored+1
	return nil
}

// counted is a log that counts the events that it returns.
type counted struct {
	eventlog.Log
	read int
}

func (c *counted) ReadAll(ctx context.Context, after eventlog.Position, limit int) iter.Seq2[eventlog.Recorded, error] {
	return func(yield func(eventlog.Recorded, error) bool) {
		for rec, err := range c.Log.ReadAll(ctx, after, limit) {
			c.read++
			if !yield(rec, err) {
				return
			}
		}
	}
}

// openWith starts a server with a stored snapshot, and returns how many events it read.
func (f *fixture) openWith(s *memorySnapshots, change func(*engine.Config)) (*engine.Engine, int) {
	f.t.Helper()
	log := &counted{Log: f.log}
	c := engine.Config{Log: log, Clock: f.clock, Server: domain.ID{15: 9}, Snapshots: s, Program: "this"}
	if change != nil {
		change(&c)
	}
	e, err := engine.Open(context.Background(), c)
	require.NoError(f.t, err)
	return e, log.read
}

// withSnapshot returns a fixture with deployed machines, and a snapshot of it. More events follow the snapshot.
func withSnapshot(t *testing.T) (*fixture, *memorySnapshots) {
	f, s := newFixture(t), &memorySnapshots{}
	f.shop()
	f.do(domain.Deploy{Project: "shop", Release: "1.0", Environment: "production"})
	for n, name := range []string{"web-01", "web-02", "web-03"} {
		f.join(name, byte(n))
	}
	f.tick()
	require.True(t, f.work("web-01", domain.PartSucceeded))
	require.True(t, f.work("web-02", domain.PartFailed))
	e, _ := f.openWith(s, nil)
	require.NoError(t, e.Snapshot())
	require.NoError(t, e.Snapshot())
	require.Equal(t, 1, s.stored, "nothing has happened since the first snapshot")
	require.True(t, f.work("web-03", domain.PartSucceeded))
	f.join("web-04", 4)
	return f, s
}

func TestStartFromASnapshotReadsOnlyNewEventsAndGetsTheSameView(t *testing.T) {
	f, s := withSnapshot(t)
	fresh, all := f.openWith(&memorySnapshots{}, nil)
	e, read := f.openWith(s, nil)
	require.Less(t, read, all/2)
	require.Equal(t, viewOf(fresh), viewOf(e))
	require.NoError(t, e.Start(context.Background()))
	report, err := e.Tick(context.Background())
	require.NoError(t, err)
	require.Len(t, report.Appended, 1, "web-04 is deployed to")
}

// viewOf returns the view of an engine.
func viewOf(e *engine.Engine) (view *projections.View) {
	e.Read(func(v *projections.View) { view = v })
	return view
}

func TestSnapshotIsDueAfterEnoughEventsInAQuietMoment(t *testing.T) {
	f, s := newFixture(t), &memorySnapshots{}
	f.do(domain.ApplyEnvironment{Name: "production"})
	e, _ := f.openWith(s, nil)
	require.False(t, e.SnapshotDue(true))
	typeName, data, err := domain.Encode(domain.PolicyDeleted{})
	require.NoError(t, err)
	for i := range 20_100 {
		event := eventlog.Event{ID: uuid.New(), Type: typeName, Data: data}
		_, err := f.log.Append(context.Background(), "policy/default", eventlog.Revision(i-1), event)
		require.NoError(t, err)
	}
	require.NoError(t, e.CatchUp(context.Background()))
	require.True(t, e.SnapshotDue(true))
	require.False(t, e.SnapshotDue(false))
	s.full = true
	require.Error(t, e.Snapshot())
	require.True(t, e.SnapshotDue(true), "the snapshot was not stored")
	s.full = false
	require.NoError(t, e.Snapshot())
	require.False(t, e.SnapshotDue(true), "the count starts again")
}

func TestBusyServersAndLargeFleetsTakeSnapshotsLessOften(t *testing.T) {
	f := newFixture(t)
	e, _ := f.openWith(&memorySnapshots{}, nil)
	machine := func(n int, facts ...domain.Event) {
		at := eventlog.NoStream
		e.Read(func(v *projections.View) { at = v.Revision(fmt.Sprintf("machine/web-%05d", n)) })
		for _, fact := range facts {
			typeName, data, err := domain.Encode(fact)
			require.NoError(t, err)
			_, err = f.log.Append(context.Background(), fmt.Sprintf("machine/web-%05d", n), at,
				eventlog.Event{ID: uuid.New(), Type: typeName, Data: data})
			require.NoError(t, err)
			at++
		}
	}
	for n := range 11_000 {
		machine(n, domain.MachineAdded{Environment: "production"})
	}
	require.NoError(t, e.CatchUp(context.Background()))
	for n := range 10_900 {
		machine(n, domain.MachineDisabled{})
	}
	require.NoError(t, e.CatchUp(context.Background()))
	require.False(t, e.SnapshotDue(true), "21 901 events are not enough for 11 000 machines")
	for n := range 200 {
		machine(n, domain.MachineEnabled{})
	}
	require.NoError(t, e.CatchUp(context.Background()))
	require.True(t, e.SnapshotDue(true))
	require.False(t, e.SnapshotDue(false), "a busy server waits")
	for range 4 {
		for n := range 11_000 {
			machine(n, domain.MachineEnabled{}, domain.MachineDisabled{})
		}
		require.NoError(t, e.CatchUp(context.Background()))
	}
	require.True(t, e.SnapshotDue(false), "but only up to a limit")
}

func TestInvalidSnapshotIsIgnored(t *testing.T) {
	f, s := withSnapshot(t)
	for name, c := range map[string]struct {
		change func(*engine.Config)
		spoil  func(data []byte) []byte
	}{
		"another program":         {change: func(c *engine.Config) { c.Program = "that" }},
		"other rules":             {change: func(c *engine.Config) { c.Rules = engine.CurrentRules(); c.Rules.Version++ }},
		"a flipped bit":           {spoil: func(data []byte) []byte { data[len(data)/2] ^= 4; return data }},
		"another checksum":        {spoil: func(data []byte) []byte { data[0] ^= 4; return data }},
		"a truncated snapshot":    {spoil: func(data []byte) []byte { return data[:len(data)/2] }},
		"a truncated header":      {spoil: func(data []byte) []byte { return data[:7] }},
		"zeros of another length": {spoil: func([]byte) []byte { return make([]byte, 1000) }},
	} {
		t.Run(name, func(t *testing.T) {
			spoilt := &memorySnapshots{data: append([]byte(nil), s.data...)}
			if c.spoil != nil {
				spoilt.data = c.spoil(spoilt.data)
			}
			fresh, all := f.openWith(&memorySnapshots{}, c.change)
			e, read := f.openWith(spoilt, c.change)
			require.GreaterOrEqual(t, read, all)
			require.LessOrEqual(t, read, all+1, "at most the last event of the snapshot is read again")
			require.Equal(t, viewOf(fresh), viewOf(e))
			require.NoError(t, e.LostEvents())
		})
	}
	t.Run("a snapshot of another log", func(t *testing.T) {
		other := memory.Open(memory.Config{ID: uuid.New()})
		e, err := engine.Open(context.Background(), engine.Config{Log: other, Clock: f.clock, Server: f.Server(),
			Snapshots: s, Program: "this"})
		require.NoError(t, err)
		require.Zero(t, e.Position())
		require.NoError(t, e.LostEvents())
	})
}

func TestLogRestoredWhileTheServerWasDownIsDetectedBySnapshot(t *testing.T) {
	f, s := withSnapshot(t)
	f.log = prefixOf(t, f.log, 5)
	e, _ := f.openWith(s, nil)
	require.ErrorIs(t, e.LostEvents(), engine.ErrLostEvents)
	require.Equal(t, eventlog.Position(5), e.Position(), "the view matches the log")
	renewed, _ := f.openWith(s, func(c *engine.Config) { c.Program = "the next version" })
	require.ErrorIs(t, renewed.LostEvents(), engine.ErrLostEvents, "a snapshot of another build is evidence too")
	stored := s.data
	require.NoError(t, e.Snapshot())
	require.Equal(t, stored, s.data, "the snapshot is not replaced until the restore is accepted")
	_, err := e.Handle(context.Background(), f.id(), domain.AcceptRestore{Was: domain.ID(e.LogID())})
	require.NoError(t, err)
	again, _ := f.openWith(s, nil)
	require.NoError(t, again.LostEvents(), "an accepted restore is not reported again")
}

// replaced is a log that is replaced by another after its first read.
type replaced struct {
	eventlog.Log
	by eventlog.Log
}

func (r *replaced) ReadAll(ctx context.Context, after eventlog.Position, limit int) iter.Seq2[eventlog.Recorded,
	error] {
	return func(yield func(eventlog.Recorded, error) bool) {
		for rec, err := range r.Log.ReadAll(ctx, after, limit) {
			if !yield(rec, err) {
				return
			}
		}
		if r.by != nil {
			r.Log, r.by = r.by, nil
		}
	}
}

func TestLogRestoredDuringAStartIsDetected(t *testing.T) {
	f := newFixture(t)
	for i := range 1500 { // more than one page
		_, err := f.log.Append(context.Background(), "policy/default", eventlog.Revision(i-1),
			eventlog.Event{ID: uuid.New(), Type: "policy.deleted/v1", Data: []byte(`{}`)})
		require.NoError(t, err)
	}
	log := &replaced{Log: f.log, by: prefixOf(t, f.log, 700)}
	for name, s := range map[string]*memorySnapshots{"without a snapshot": {}, "from an earlier snapshot": nil} {
		t.Run(name, func(t *testing.T) {
			if s == nil {
				s = &memorySnapshots{}
				e, err := engine.Open(context.Background(),
					engine.Config{Log: prefixOf(t, f.log, 300), Clock: f.clock, Server: domain.ID{15: 9}, Snapshots: s})
				require.NoError(t, err)
				require.NoError(t, e.Snapshot())
			}
			put := *log
			e, err := engine.Open(context.Background(),
				engine.Config{Log: &put, Clock: f.clock, Server: domain.ID{15: 9}, Snapshots: s})
			require.NoError(t, err)
			require.ErrorIs(t, e.LostEvents(), engine.ErrLostEvents)
			require.Equal(t, eventlog.Position(700), e.Position())
		})
	}
}

// held is a log whose reads wait until they are released.
type held struct {
	eventlog.Log
	goOn chan struct{}
}

func (h *held) ReadAll(ctx context.Context, after eventlog.Position, limit int) iter.Seq2[eventlog.Recorded, error] {
	if h.goOn != nil {
		<-h.goOn
	}
	return h.Log.ReadAll(ctx, after, limit)
}

func TestSnapshotIsNotTakenAfterAReadThatFindsLostEvents(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, s := newFixture(t), &memorySnapshots{}
		f.shop()
		f.join("web-01", 1)
		log := &held{Log: f.log}
		e, err := engine.Open(context.Background(), engine.Config{Log: log, Clock: f.clock, Server: domain.ID{15: 9},
			Snapshots: s})
		require.NoError(t, err)
		require.NoError(t, e.Snapshot())
		stored := s.data
		f.join("web-02", 2)
		require.NoError(t, e.CatchUp(context.Background()))
		log.Log, log.goOn = prefixOf(t, f.log, 5), make(chan struct{})
		go func() { _ = e.CatchUp(context.Background()) }()
		synctest.Wait()
		go func() { _ = e.Snapshot() }()
		synctest.Wait()
		close(log.goOn)
		synctest.Wait()
		require.ErrorIs(t, e.LostEvents(), engine.ErrLostEvents)
		require.Equal(t, stored, s.data)
	})
}

func TestStartFromASnapshotKnowsWhereToReadTheTailOfTheLog(t *testing.T) {
	f, s := newFixture(t), &memorySnapshots{}
	e, _ := f.openWith(s, nil)
	for _, name := range []string{"lab", "staging", "production"} {
		f.clock.now += time.Second
		f.do(domain.ApplyEnvironment{Name: name})
		require.NoError(t, e.CatchUp(context.Background()))
	}
	require.NoError(t, e.Snapshot())
	f.clock.now += time.Second
	again, _ := f.openWith(s, nil)
	require.Equal(t, e.TailStart(2), again.TailStart(2))
	require.NotZero(t, again.TailStart(2))
}

func TestSnapshotAcceptsALogWhoseEventsMovedToOtherPositions(t *testing.T) {
	f, s := withSnapshot(t)
	moved := memory.Open(memory.Config{ID: f.OriginalID()})
	var last []eventlog.Recorded // the starts of servers move to the end
	for rec, err := range f.log.ReadAll(context.Background(), 0, 0) {
		require.NoError(t, err)
		if kind, _ := domain.SplitStream(rec.Stream); kind == domain.ServerStreams {
			last = append(last, rec)
			continue
		}
		_, err = moved.Append(context.Background(), rec.Stream, rec.Revision-1, rec.Event)
		require.NoError(t, err)
	}
	for _, rec := range last {
		_, err := moved.Append(context.Background(), rec.Stream, rec.Revision-1, rec.Event)
		require.NoError(t, err)
	}
	f.log = moved
	fresh, _ := f.openWith(&memorySnapshots{}, nil)
	e, _ := f.openWith(s, nil)
	require.NoError(t, e.LostEvents())
	require.Equal(t, viewOf(fresh), viewOf(e))
}

func TestFencedServerStoresNoSnapshot(t *testing.T) {
	f := newFixture(t)
	_, err := f.log.Append(context.Background(), "machine/web-01", eventlog.NoStream,
		eventlog.Event{ID: uuid.New(), Type: "machine.sang/v1", Data: []byte(`{}`)})
	require.NoError(t, err)
	s := &memorySnapshots{}
	e, _ := f.openWith(s, nil)
	require.NoError(t, e.Snapshot())
	require.Zero(t, s.stored)
}
