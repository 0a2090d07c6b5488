package eventlogtest

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/droverhq/drover/eventlog"
)

var raceLaws = []law{
	{"of many writers at one revision exactly one succeeds", func(t testing.TB, b handles) {
		const rounds, racers = 20, 8
		for round := range rounds {
			expected := eventlog.Revision(round - 1)
			winners := race(t, b, racers, expected, func(racer int) eventlog.Event { return event(round, racer) })
			require.Len(t, winners, 1, "at revision %d", expected)
			stream := readStream(t, b.log, "race")
			require.Len(t, stream, round+1)
			require.Equal(t, id(round, winners[0]), stream[round].ID)
		}
	}},
	{"once a reader has seen a position no event appears at or below it", checkNothingLate},
	{"a reader sees all events of one append or none", checkAtomicReads},
	{"writers of different streams do not conflict", func(t testing.TB, b handles) {
		const writers, each = 8, 10
		var working sync.WaitGroup
		for w := range writers {
			working.Go(func() {
				writeAlone(t, []eventlog.Backend{b.log, b.second}[w%2], fmt.Sprint("stream/", w),
					each)
			})
		}
		working.Wait()
		require.Len(t, readAll(t, b.log), writers*each)
	}},
}

// race makes racers append one event each at expected and returns the winners. Every other append must return a
// conflict with the revision of the winner.
func race(t testing.TB, b handles, racers int, expected eventlog.Revision, entry func(racer int) eventlog.Event) []int {
	failures := make([]error, racers)
	var running sync.WaitGroup
	for i := range racers {
		log := []eventlog.Backend{b.log, b.second}[i%2]
		running.Go(func() { _, failures[i] = log.Append(bounded(t), "race", expected, entry(i)) })
	}
	running.Wait()
	var winners []int
	for i, err := range failures {
		if err == nil {
			winners = append(winners, i)
			continue
		}
		conflict(t, err, "race", expected, expected+1)
	}
	return winners
}

// writeAlone appends n events one after another to a stream with no other writer.
func writeAlone(t testing.TB, log eventlog.Log, stream string, n int) {
	for i := range n {
		_, err := log.Append(bounded(t), stream, eventlog.Revision(i-1), event(stream, i))
		if err != nil {
			t.Errorf("append to %s: %v", stream, err)
			return
		}
	}
}

// checkNothingLate reads while others write, and compares the events it saw with the final log. An event that became
// visible late would be missing.
func checkNothingLate(t testing.TB, b handles) {
	const writers, each = 6, 25
	var working sync.WaitGroup
	for w := range writers {
		working.Go(func() { writeAlone(t, []eventlog.Backend{b.log, b.second}[w%2], fmt.Sprint("stream/", w), each) })
	}
	done := make(chan struct{})
	go func() { working.Wait(); close(done) }()
	var seen []uuid.UUID
	last := eventlog.Position(0)
	for finished := false; !finished; {
		select {
		case <-done:
			finished = true
		default:
		}
		for recorded, err := range b.second.ReadAll(bounded(t), last, 0) {
			require.NoError(t, err)
			require.Greater(t, recorded.Position, last)
			last = recorded.Position
			seen = append(seen, recorded.ID)
		}
	}
	require.Len(t, seen, writers*each)
	require.Equal(t, ids(readAll(t, b.log)), seen)
}

// checkAtomicReads reads while appends of five events arrive, and requires that it never sees a part of one.
func checkAtomicReads(t testing.TB, b handles) {
	const appends, size = 20, 5
	ctx, stop := context.WithCancel(bounded(t))
	defer stop()
	var reading sync.WaitGroup
	reading.Go(func() {
		for ctx.Err() == nil {
			n := 0
			for _, err := range b.second.ReadStream(ctx, "a", 0, 0) {
				if err != nil && !errors.Is(err, context.Canceled) {
					t.Errorf("read stream a: %v", err)
				}
				n++
			}
			if ctx.Err() == nil && n%size != 0 {
				t.Errorf("a reader saw %d events, which includes part of an append", n)
			}
		}
	})
	for i := range appends {
		put(t, b.log, "a", eventlog.Revision(i*size-1), events(size, i)...)
	}
	stop()
	reading.Wait()
}
