package engine

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/droverhq/drover/eventlog"
	"github.com/droverhq/drover/eventlog/memory"
)

// countedLog counts its reads. If broken is set, a read fails with it after a number of events.
type countedLog struct {
	eventlog.Log
	reads, good int
	broken      error
}

func (l *countedLog) ReadAll(ctx context.Context, after eventlog.Position, limit int) iter.Seq2[eventlog.Recorded,
	error] {
	l.reads++
	return func(yield func(eventlog.Recorded, error) bool) {
		n := 0
		for rec, err := range l.Log.ReadAll(ctx, after, limit) {
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
