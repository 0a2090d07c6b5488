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
	{"of many racers at one revision exactly one wins", func(t testing.TB, b bench) {
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
	{"once a position was seen no event ever appears at or below it", proveNothingLate},
	{"a reader sees all events of one append or none", proveWhole},
	{"writers of different streams do not hinder each other", func(t testing.TB, b bench) {
		const writers, each = 8, 10
		var working sync.WaitGroup
		for w := range writers {
			working.Go(func() { writeAlone(t, []eventlog.Backend{b.log, b.second}[w%2], fmt.Sprint("stream/", w), each) })
		}
		working.Wait()
		require.Len(t, readAll(t, b.log), writers*each)
	}},
}

// race lets racers append one event each at expected and returns who won; every other
// one must have been refused with the revision that the winner made.
func race(t testing.TB, b bench, racers int, expected eventlog.Revision, entry func(racer int) eventlog.Event) []int {
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

// writeAlone appends n events one by one to a stream that nobody else writes.
func writeAlone(t testing.TB, log eventlog.Log, stream string, n int) {
	for i := range n {
		_, err := log.Append(bounded(t), stream, eventlog.Revision(i-1), event(stream, i))
		if err != nil {
			t.Errorf("append to %s: %v", stream, err)
			return
		}
	}
}

// proveNothingLate reads on while others write, and compares what it saw on its way with
// what the log holds in the end: an event that came to light late would be missing.
func proveNothingLate(t testing.TB, b bench) {
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

// proveWhole reads while appends of five arrive and never finds a part of one.
func proveWhole(t testing.TB, b bench) {
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
				t.Errorf("a reader saw %d events, which is a part of an append", n)
			}
		}
	})
	for i := range appends {
		put(t, b.log, "a", eventlog.Revision(i*size-1), events(size, i)...)
	}
	stop()
	reading.Wait()
}
