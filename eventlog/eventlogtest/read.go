package eventlogtest

import (
	"context"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/droverhq/drover/eventlog"
)

var readLaws = []law{
	{"a stream is read from a given revision", func(t testing.TB, b handles) {
		put(t, b.log, "a", eventlog.NoStream, events(4, "a")...)
		put(t, b.log, "b", eventlog.NoStream, events(4, "b")...)
		want := idsOf(events(4, "a"))
		for from, rest := range map[eventlog.Revision][]uuid.UUID{-1: want, 0: want, 1: want[1:], 3: want[3:]} {
			require.Equal(t, rest, ids(collect(t, b.log.ReadStream(bounded(t), "a", from, 0))))
		}
		require.Empty(t, collect(t, b.log.ReadStream(bounded(t), "a", 4, 0)))
		require.Empty(t, collect(t, b.log.ReadStream(bounded(t), "a", 99, 0)))
	}},
	{"the whole log is read after a position, which is excluded", func(t testing.TB, b handles) {
		put(t, b.log, "a", eventlog.NoStream, events(3, "a")...)
		all := readAll(t, b.log)
		for i, recorded := range all {
			require.Equal(t, ids(all[i+1:]), ids(collect(t, b.log.ReadAll(bounded(t), recorded.Position, 0))))
		}
		require.Empty(t, collect(t, b.log.ReadAll(bounded(t), all[2].Position+1000, 0)))
		require.Empty(t, collect(t, b.log.ReadAll(bounded(t), ^eventlog.Position(0), 0)))
	}},
	{"a read yields at most its limit, or everything without a limit", func(t testing.TB, b handles) {
		put(t, b.log, "a", eventlog.NoStream, events(5, "a")...)
		for limit, n := range map[int]int{0: 5, 1: 1, 4: 4, 5: 5, 6: 5, 1 << 40: 5} {
			require.Len(t, collect(t, b.log.ReadAll(bounded(t), 0, limit)), n)
			require.Len(t, collect(t, b.log.ReadStream(bounded(t), "a", 0, limit)), n)
		}
	}},
	{"a negative limit is refused", func(t testing.TB, b handles) {
		put(t, b.log, "a", eventlog.NoStream, event("a"))
		require.ErrorContains(t, firstError(t, b.log.ReadAll(bounded(t), 0, -1)), "invalid limit -1")
		require.ErrorContains(t, firstError(t, b.log.ReadStream(bounded(t), "a", 0, -1)), "invalid limit -1")
		require.ErrorContains(t, firstError(t, b.log.Items(bounded(t), eventlog.Output, chunk(1, "").Key, 0, -1)),
			"invalid limit -1")
	}},
	{"resuming after any position yields exactly the rest", checkResume},
	{"the whole log has the events of a stream in their order", func(t testing.TB, b handles) {
		for i := range 30 {
			stream := []string{"a", "b", "c"}[i%3]
			put(t, b.log, stream, eventlog.Revision(2*(i/3)-1), events(2, stream, i)...)
		}
		next := map[string]eventlog.Revision{}
		for _, recorded := range readAll(t, b.second) {
			require.Equal(t, next[recorded.Stream], recorded.Revision)
			next[recorded.Stream]++
		}
	}},
	{"a log of thousands of events is read completely", func(t testing.TB, b handles) {
		const appends = 7
		for i := range appends {
			put(t, b.log, "a", eventlog.Revision(i*eventlog.MaxAppendEvents-1), events(eventlog.MaxAppendEvents, i)...)
		}
		all := readAll(t, b.second)
		require.Len(t, all, appends*eventlog.MaxAppendEvents)
		require.Equal(t, ids(all), ids(readStream(t, b.log, "a")))
		require.Len(t, collect(t, b.log.ReadAll(bounded(t), 0, 3001)), 3001)
		require.Len(t, collect(t, b.log.ReadStream(bounded(t), "a", 9, 3001)), 3001)
		verified, err := eventlog.Verify(bounded(t), b.log, nil)
		require.NoError(t, err)
		require.Equal(t, eventlog.Verified{Events: len(all), Streams: 1, Head: all[len(all)-1].Position}, verified)
	}},
	{"a read can be repeated and starts from the beginning", func(t testing.TB, b handles) {
		read := b.log.ReadAll(bounded(t), 0, 0)
		require.Empty(t, collect(t, read))
		put(t, b.log, "a", eventlog.NoStream, event("a"))
		require.Len(t, collect(t, read), 1)
		require.Len(t, collect(t, read), 1)
	}},
	{"a read that ends early releases its resources", func(t testing.TB, b handles) {
		put(t, b.log, "a", eventlog.NoStream, events(10, "a")...)
		for range 50 {
			for range b.log.ReadAll(bounded(t), 0, 0) { //nolint:errcheck // the loop stops at the first event
				break
			}
			for range b.log.ReadStream(bounded(t), "a", 0, 0) { //nolint:errcheck // the loop stops at the first event
				break
			}
		}
		put(t, b.log, "a", 9, event("b"))
		require.Len(t, readAll(t, b.log), 11)
	}},
	{"a reader can append while it reads and its read still ends", func(t testing.TB, b handles) {
		const batch = eventlog.MaxAppendEvents
		for i := range 4 {
			put(t, b.log, "a", eventlog.Revision(i*batch-1), events(batch, i)...)
		}
		read, echoes := 0, 0
		for _, err := range b.log.ReadAll(bounded(t), 0, 0) {
			require.NoError(t, err)
			if read++; read%(batch/2) == 0 {
				put(t, b.log, "echo", eventlog.Revision(echoes*batch-1), events(batch, "echo", echoes)...)
				echoes++
			}
			require.Less(t, read, 20*batch, "the read follows its own appends")
		}
		require.GreaterOrEqual(t, read, 4*batch)
	}},
}

// checkResume reads with random page sizes and restarts, and compares the result with a single read.
func checkResume(t testing.TB, b handles) {
	for i := range 12 {
		stream := []string{"a", "b"}[i%2]
		put(t, b.log, stream, eventlog.Revision(3*(i/2)-1), events(3, i)...)
	}
	want := readAll(t, b.log)
	rapid.Check(t, func(t *rapid.T) {
		var got []eventlog.Recorded
		after := eventlog.Position(0)
		for len(got) < len(want) {
			limit := rapid.IntRange(1, 9).Draw(t, "limit")
			log := rapid.SampledFrom([]eventlog.Backend{b.log, b.second}).Draw(t, "log")
			page := collect(t, log.ReadAll(context.Background(), after, limit))
			require.NotEmpty(t, page)
			got = append(got, page...)
			after = got[len(got)-1].Position
		}
		require.Equal(t, want, got)
	})
}
