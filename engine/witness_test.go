package engine_test

import (
	"context"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/droverhq/drover/domain"
	"github.com/droverhq/drover/engine"
	"github.com/droverhq/drover/eventlog"
	"github.com/droverhq/drover/eventlog/memory"
)

// memoryWitness is a witness in memory with one record.
type memoryWitness struct{ seen []eventlog.Seen }

func (w *memoryWitness) Seen() []eventlog.Seen     { return w.seen }
func (w *memoryWitness) Record(seen eventlog.Seen) { w.seen = []eventlog.Seen{seen} }

// openWatched starts a server with a witness.
func (f *fixture) openWatched(w *memoryWitness) *engine.Engine {
	f.t.Helper()
	e, err := engine.Open(context.Background(), engine.Config{Log: f.log, Clock: f.clock, Server: domain.ID{15: 9},
		Witness: w})
	require.NoError(f.t, err)
	return e
}

// watched returns a fixture and a witness that has seen all of its events.
func watched(t *testing.T) (*fixture, *memoryWitness) {
	t.Helper()
	f, w := newFixture(t), &memoryWitness{}
	e := f.openWatched(w)
	f.shop()
	require.NoError(t, e.CatchUp(context.Background()))
	f.join("web-01", 1)
	require.NoError(t, e.CatchUp(context.Background()))
	require.Len(t, w.seen, 1)
	require.Equal(t, f.Position(), w.seen[0].Position)
	require.Less(t, w.seen[0].Before, w.seen[0].Position)
	return f, w
}

func TestLogThatLostItsEndWhileTheServerWasDownIsDetectedByTheWitness(t *testing.T) {
	f, w := watched(t)
	require.NoError(t, f.openWatched(w).LostEvents(), "the log is whole")
	f.log = prefixOf(t, f.log, f.Position()-1)
	require.NoError(t, f.openWatched(&memoryWitness{}).LostEvents(), "without the witness, the loss is invisible")
	e := f.openWatched(w)
	require.ErrorIs(t, e.LostEvents(), engine.ErrLostEvents)
	_, err := e.Handle(context.Background(), f.id(), domain.ApplyEnvironment{Name: "lab"})
	require.ErrorIs(t, err, engine.ErrLostEvents)
}

func TestWitnessIsNotReplacedUntilTheLossIsAccepted(t *testing.T) {
	f, w := watched(t)
	seen := w.seen
	f.log = prefixOf(t, f.log, f.Position()-1)
	e := f.openWatched(w)
	require.NoError(t, e.Start(context.Background()))
	require.Equal(t, seen, w.seen, "the evidence remains")
	require.ErrorIs(t, f.openWatched(w).LostEvents(), engine.ErrLostEvents, "so that the next start reports it too")

	_, err := e.Handle(context.Background(), f.id(), domain.AcceptRestore{Was: domain.ID(e.LogID()), At: f.clock.Now(),
		Origin: domain.By("ann")})
	require.NoError(t, err)
	require.Equal(t, e.LogID(), w.seen[0].Log)
	require.Equal(t, e.Position(), w.seen[0].Position)
	require.NoError(t, f.openWatched(w).LostEvents())
	w.seen = seen
	require.NoError(t, f.openWatched(w).LostEvents(), "the restore of that log was accepted")
}

func TestRunningServerThatFindsARestoredLogKeepsItsWitness(t *testing.T) {
	f, w := watched(t)
	s := &swappableLog{f.log}
	e, err := engine.Open(context.Background(), engine.Config{Log: s, Clock: f.clock, Server: domain.ID{15: 9}, Witness: w})
	require.NoError(t, err)
	seen := w.seen
	s.Log = prefixOf(t, f.log, f.Position()-2)
	require.NoError(t, e.Start(context.Background()))
	require.ErrorIs(t, e.LostEvents(), engine.ErrLostEvents)
	require.Equal(t, seen, w.seen)
}

func TestWitnessAcceptsALogWhoseEventsMovedToOtherPositions(t *testing.T) {
	f, w := watched(t)
	moved := memory.Open(memory.Config{ID: f.OriginalID()})
	_, err := moved.Append(context.Background(), "policy/default", eventlog.NoStream,
		eventlog.Event{ID: uuid.New(), Type: "policy.deleted/v1", Data: []byte(`{}`)})
	require.NoError(t, err)
	for rec, err := range f.log.ReadAll(context.Background(), 0, 0) {
		require.NoError(t, err)
		_, err = moved.Append(context.Background(), rec.Stream, rec.Revision-1, rec.Event)
		require.NoError(t, err)
	}
	f.log = moved
	require.NoError(t, f.openWatched(w).LostEvents())
}

func TestEventWithTheSameIDButAnotherTimeIsNotTheSeenEvent(t *testing.T) {
	f, w := watched(t)
	w.seen[0].Time = w.seen[0].Time.Add(time.Second)
	require.ErrorIs(t, f.openWatched(w).LostEvents(), engine.ErrLostEvents)
}

func TestSnapshotAndWitnessTogetherDetectEventsLostAfterTheSnapshot(t *testing.T) {
	f, w := watched(t)
	s := &memorySnapshots{}
	e, _ := f.openWith(s, func(c *engine.Config) { c.Witness = w })
	require.NoError(t, e.Snapshot())
	at := e.Position()
	f.join("web-02", 2)
	f.join("web-03", 3)
	require.NoError(t, e.CatchUp(context.Background()))
	f.log = prefixOf(t, f.log, at+1)
	again, _ := f.openWith(s, func(c *engine.Config) { c.Witness = w })
	require.Equal(t, at, again.ResumedFrom(), "the snapshot is valid")
	require.ErrorIs(t, again.LostEvents(), engine.ErrLostEvents)
}
