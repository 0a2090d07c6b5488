package engine

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/droverhq/drover/domain"
	"github.com/droverhq/drover/eventlog"
	"github.com/droverhq/drover/eventlog/memory"
	"github.com/droverhq/drover/internal/clock"
	"github.com/droverhq/drover/internal/ids"
	"github.com/droverhq/drover/projections"
)

// countedLog counts its reads. If broken is set, a read fails with it after a number of events. If short is set, each read
// ends after that many events.
type countedLog struct {
	eventlog.Log
	reads, good, short int
	broken             error
}

func (l *countedLog) ReadAll(ctx context.Context, after eventlog.Position, limit int) iter.Seq2[eventlog.Recorded,
	error] {
	l.reads++
	return func(yield func(eventlog.Recorded, error) bool) {
		n := 0
		for rec, err := range l.Log.ReadAll(ctx, after, limit) {
			if n == l.short && n > 0 {
				return
			}
			if n++; l.broken != nil && n > l.good {
				yield(eventlog.Recorded{}, l.broken)
				return
			}
			if !yield(rec, err) {
				return
			}
		}
	}
}

func grow(t *testing.T, log eventlog.Log, n int) {
	for i := range n {
		event := eventlog.Event{ID: uuid.New(), Type: "machine.enabled/v1", Data: []byte(`{}`)}
		_, err := log.Append(context.Background(), fmt.Sprint("machine/", uuid.New()), eventlog.NoStream, event)
		require.NoError(t, err, i)
	}
}

// A log reads ahead only within one read, so all pages must come from the same read.
func TestAllPagesComeFromOneRead(t *testing.T) {
	log := &countedLog{Log: memory.New()}
	grow(t, log, 3*pageSize+1)
	var c checkpoint
	var pages []int
	take := func(page []eventlog.Recorded) { pages = append(pages, len(page)) }
	require.NoError(t, c.readNew(context.Background(), log, take))
	require.Equal(t, []int{pageSize, pageSize, pageSize, 1, 0}, pages, "the last read finds nothing")
	require.Equal(t, eventlog.Position(3*pageSize+1), c.at)
	require.Equal(t, 2, log.reads)

	log.reads = 0
	require.NoError(t, c.readNew(context.Background(), log, func(page []eventlog.Recorded) { require.Empty(t, page) }))
	require.Equal(t, 1, log.reads)
}

// Events before an error are folded, and the next read continues after them.
func TestReadContinuesWhereTheLastOneFailed(t *testing.T) {
	log := &countedLog{Log: memory.New(), good: pageSize + 7, broken: errors.New("broken")}
	grow(t, log, pageSize+20)
	var c checkpoint
	var taken []eventlog.Position
	take := func(page []eventlog.Recorded) {
		for _, rec := range page {
			taken = append(taken, rec.Position)
		}
	}
	require.ErrorIs(t, c.readNew(context.Background(), log, take), log.broken)
	require.Equal(t, eventlog.Position(pageSize+7), c.at)
	log.broken = nil
	require.NoError(t, c.readNew(context.Background(), log, take))
	require.Len(t, taken, pageSize+20)
	for i, position := range taken {
		require.Equal(t, eventlog.Position(i+1), position)
	}
}

// own appends an event and returns what a read of the log would return for it.
func own(t *testing.T, log eventlog.Log) eventlog.Recorded {
	t.Helper()
	event := eventlog.Event{ID: uuid.New(), Type: "machine.enabled/v1", Data: []byte(`{}`),
		Time: time.Date(2026, 1, 1, 9, 0, 0, 0, time.UTC)}
	stream := fmt.Sprint("machine/", event.ID)
	appended, err := log.Append(context.Background(), stream, eventlog.NoStream, event)
	require.NoError(t, err)
	return eventlog.Recorded{Event: event, Stream: stream, Revision: appended.Revision, Position: appended.Position}
}

func TestOwnEventIsFoldedOnceWithoutARead(t *testing.T) {
	log := memory.New()
	grow(t, log, 3)
	var c checkpoint
	var taken []eventlog.Position
	take := func(page []eventlog.Recorded) {
		for _, rec := range page {
			taken = append(taken, rec.Position)
		}
	}
	first := own(t, log)
	require.False(t, c.isNext(1, first.Position), "nothing is read yet")
	require.NoError(t, c.readNew(context.Background(), log, take))
	for range 2 {
		rec := own(t, log)
		require.True(t, c.isNext(1, rec.Position))
		c.foldOwn([]eventlog.Recorded{rec}, take)
	}
	require.Equal(t, eventlog.Position(6), c.folded().at)
	grow(t, log, 1)
	later := own(t, log)
	require.False(t, c.isNext(1, later.Position), "another event is before it")
	require.NoError(t, c.readNew(context.Background(), log, take))
	require.Equal(t, []eventlog.Position{1, 2, 3, 4, 5, 6, 7, 8}, taken)
	require.Equal(t, c.mark, c.folded())
	for range maxOwn {
		rec := own(t, log)
		require.True(t, c.isNext(1, rec.Position))
		c.foldOwn([]eventlog.Recorded{rec}, take)
	}
	require.False(t, c.isNext(1, own(t, log).Position), "a read is due")
}

// If the log is restored to a state without an event that was folded without a read, the next read notices.
func TestNextReadComparesOwnEvents(t *testing.T) {
	for name, after := range map[string]int{"the log ends before it": 0, "another event is at its position": 1} {
		t.Run(name, func(t *testing.T) {
			log, restored := memory.New(), memory.New()
			grow(t, log, 3)
			for rec, err := range log.ReadAll(context.Background(), 0, 0) {
				require.NoError(t, err)
				_, err = restored.Append(context.Background(), rec.Stream, rec.Revision-1, rec.Event)
				require.NoError(t, err)
			}
			var c checkpoint
			take := func([]eventlog.Recorded) {}
			require.NoError(t, c.readNew(context.Background(), log, take))
			c.foldOwn([]eventlog.Recorded{own(t, log)}, take)
			grow(t, restored, after)
			require.ErrorIs(t, c.readNew(context.Background(), restored, take), errRewound)
		})
	}
}

// A read that ends early has not shown that the rest is lost: the next one continues where it ended.
func TestReadThatEndsEarlyIsNoLossOfOwnEvents(t *testing.T) {
	log := &countedLog{Log: memory.New()}
	grow(t, log, 3)
	var c checkpoint
	var taken []eventlog.Position
	take := func(page []eventlog.Recorded) {
		for _, rec := range page {
			taken = append(taken, rec.Position)
		}
	}
	require.NoError(t, c.readNew(context.Background(), log, take))
	for range 3 {
		c.foldOwn([]eventlog.Recorded{own(t, log)}, take)
	}
	log.short = 2
	require.NoError(t, c.readNew(context.Background(), log, take))
	require.Equal(t, []eventlog.Position{1, 2, 3, 4, 5, 6}, taken)
	require.Equal(t, c.mark, c.folded())
}

// A command reads what others have appended before it is decided. It does not read its own events back.
func TestCommandReadsTheLogOnce(t *testing.T) {
	log := &countedLog{Log: memory.New()}
	e, err := Open(t.Context(), Config{Log: log, Clock: clock.New(), Server: ids.New()})
	require.NoError(t, err)
	require.NoError(t, e.Start(t.Context()))
	log.reads = 0
	for i, name := range []string{"test", "production"} {
		_, err = e.Handle(t.Context(), ids.New(), domain.ApplyEnvironment{Name: name})
		require.NoError(t, err)
		require.Equal(t, i+1, log.reads)
		e.Read(func(v *projections.View) { require.Contains(t, v.Environments, name) })
	}
}
