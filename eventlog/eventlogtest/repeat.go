package eventlogtest

import (
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/droverhq/drover/eventlog"
)

// repeated requires an append to return the result of the first one.
func repeated(t testing.TB, log eventlog.Log, first eventlog.Appended, stream string, expected eventlog.Revision,
	events ...eventlog.Event) {
	t.Helper()
	again, err := log.Append(bounded(t), stream, expected, events...)
	require.NoError(t, err)
	require.True(t, again.Repeat, "a repeat was reported as a new append")
	first.Repeat = true
	require.Equal(t, first, again)
}

var repeatLaws = []law{
	{"the same ids at the same expected revision return the first result", func(t testing.TB, b handles) {
		first := put(t, b.log, "a", eventlog.NoStream, events(3, "a")...)
		repeated(t, b.log, first, "a", eventlog.NoStream, events(3, "a")...)
		repeated(t, b.second, first, "a", eventlog.NoStream, events(3, "a")...)
		require.Len(t, readAll(t, b.log), 3)
	}},
	{"a repeat is recognized after any number of later appends", func(t testing.TB, b handles) {
		put(t, b.log, "a", eventlog.NoStream, event("a"))
		second := put(t, b.log, "a", 0, events(2, "b")...)
		for i := range 20 {
			put(t, b.log, "a", eventlog.Revision(2+i), event("later", i))
			put(t, b.log, "other", eventlog.Revision(i-1), event("other", i))
		}
		repeated(t, b.second, second, "a", 0, events(2, "b")...)
		require.Len(t, readAll(t, b.log), 43)
	}},
	{"an append of only the first ids is a repeat", func(t testing.TB, b handles) {
		put(t, b.log, "a", eventlog.NoStream, events(3, "a")...)
		position := readAll(t, b.log)[1].Position
		repeated(t, b.log, eventlog.Appended{Revision: 1, Position: position}, "a", eventlog.NoStream,
			events(3, "a")[:2]...)
	}},
	{"a different event at that revision is a conflict", func(t testing.TB, b handles) {
		put(t, b.log, "a", eventlog.NoStream, events(3, "a")...)
		for wrong := range 3 {
			changed := events(3, "a")
			changed[wrong].ID = id("another writer")
			_, err := b.second.Append(bounded(t), "a", eventlog.NoStream, changed...)
			conflict(t, err, "a", eventlog.NoStream, 2)
		}
		require.Len(t, readAll(t, b.log), 3)
	}},
	{"an append of which only the first ids are stored is a conflict", func(t testing.TB, b handles) {
		put(t, b.log, "a", eventlog.NoStream, events(2, "a")...)
		_, err := b.log.Append(bounded(t), "a", eventlog.NoStream, events(3, "a")...)
		conflict(t, err, "a", eventlog.NoStream, 1)
		put(t, b.log, "a", 1, event("b"))
		_, err = b.log.Append(bounded(t), "a", eventlog.NoStream, events(3, "a")...)
		conflict(t, err, "a", eventlog.NoStream, 2)
		require.Len(t, readAll(t, b.log), 3)
	}},
	{"the same ids in another order are a conflict", func(t testing.TB, b handles) {
		made := events(2, "a")
		put(t, b.log, "a", eventlog.NoStream, made...)
		_, err := b.log.Append(bounded(t), "a", eventlog.NoStream, made[1], made[0])
		conflict(t, err, "a", eventlog.NoStream, 1)
	}},
	{"the same ids at an earlier or later revision are a conflict", func(t testing.TB, b handles) {
		put(t, b.log, "a", eventlog.NoStream, events(3, "a")...)
		_, err := b.log.Append(bounded(t), "a", eventlog.NoStream, events(3, "a")[1:]...)
		conflict(t, err, "a", eventlog.NoStream, 2)
		_, err = b.log.Append(bounded(t), "a", 1, events(3, "a")[1:]...)
		conflict(t, err, "a", 1, 2)
		_, err = b.log.Append(bounded(t), "a", 3, events(3, "a")...)
		conflict(t, err, "a", 3, 2)
	}},
	{"the same id at the end of the stream or in another stream is a new event", func(t testing.TB, b handles) {
		put(t, b.log, "a", eventlog.NoStream, event("a"))
		put(t, b.log, "a", 0, event("a"))
		put(t, b.log, "b", eventlog.NoStream, event("a"))
		require.Len(t, readAll(t, b.log), 3)
	}},
	{"of identical concurrent appends one is new and all others are repeats", func(t testing.TB, b handles) {
		answers := make([]eventlog.Appended, 16)
		failures := make([]error, len(answers))
		var racers sync.WaitGroup
		for i := range answers {
			log := []eventlog.Backend{b.log, b.second}[i%2]
			racers.Go(func() {
				answers[i], failures[i] = log.Append(bounded(t), "a", eventlog.NoStream, events(3, "a")...)
			})
		}
		racers.Wait()
		fresh := 0
		for i, answer := range answers {
			require.NoError(t, failures[i])
			require.Equal(t, eventlog.Revision(2), answer.Revision)
			require.Equal(t, answers[0].Position, answer.Position)
			if !answer.Repeat {
				fresh++
			}
		}
		require.Equal(t, 1, fresh)
		require.Len(t, readAll(t, b.log), 3)
	}},
}
