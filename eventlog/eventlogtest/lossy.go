package eventlogtest

import (
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/droverhq/drover/eventlog"
)

// noon is the time at which output arrives in the tests.
var noon = time.Date(2026, 3, 4, 12, 0, 0, 0, time.UTC)

// chunk returns a piece of output of machine m in deployment d.
func chunk(sequence int64, text string) eventlog.Item { return chunkOf("m", sequence, text) }

func chunkOf(machine string, sequence int64, text string) eventlog.Item {
	return eventlog.Item{Key: eventlog.OutputKey(id("d"), machine), Sequence: sequence, Time: noon, Data: []byte(text)}
}

func output(t testing.TB, log eventlog.Backend, machine string, after int64, limit int) []eventlog.Item {
	return collect(t, log.Items(bounded(t), eventlog.Output, eventlog.OutputKey(id("d"), machine), after, limit))
}

func write(t testing.TB, log eventlog.Backend, chunks ...eventlog.Item) {
	for _, chunk := range chunks {
		require.NoError(t, log.Add(bounded(t), eventlog.Output, chunk))
	}
}

func putLease(t testing.TB, log eventlog.Backend, server, value string) {
	require.NoError(t, log.Put(bounded(t), eventlog.Leases, eventlog.Lease(id(server), []byte(value))))
}

func leases(t testing.TB, log eventlog.Backend) map[uuid.UUID][]byte {
	found, err := eventlog.ReadLeases(bounded(t), log)
	require.NoError(t, err)
	return found
}

var leaseLaws = []law{
	{"the last lease of each server is stored until it is dropped", func(t testing.TB, b handles) {
		putLease(t, b.log, "one", "1")
		putLease(t, b.log, "two", "\x00\xff")
		putLease(t, b.second, "one", "2")
		require.Equal(t, map[uuid.UUID][]byte{id("one"): []byte("2"), id("two"): {0, 255}}, leases(t, b.second))
		require.NoError(t, b.log.Drop(bounded(t), eventlog.Leases, id("one").String()))
		require.NoError(t, b.log.Drop(bounded(t), eventlog.Leases, id("one").String()))
		require.Equal(t, map[uuid.UUID][]byte{id("two"): {0, 255}}, leases(t, b.second))
	}},
	{"a lease of 4 KiB is accepted and one byte more is refused", func(t testing.TB, b handles) {
		putLease(t, b.log, "s", string(make([]byte, eventlog.MaxLeaseBytes)))
		err := b.log.Put(bounded(t), eventlog.Leases, eventlog.Lease(id("s"), make([]byte, eventlog.MaxLeaseBytes+1)))
		require.ErrorIs(t, err, eventlog.ErrTooLarge)
		require.Len(t, leases(t, b.log)[id("s")], eventlog.MaxLeaseBytes)
	}},
	{"a lease with a sequence or a time is refused", func(t testing.TB, b handles) {
		for _, item := range []eventlog.Item{{Key: id("s").String(), Sequence: 1},
			{Key: id("s").String(), Time: noon}} {
			require.ErrorIs(t, b.log.Put(bounded(t), eventlog.Leases, item), eventlog.ErrInvalid)
		}
		require.Empty(t, leases(t, b.log))
	}},
	{"items have no position in the log", func(t testing.TB, b handles) {
		first := put(t, b.log, "a", eventlog.NoStream, event("a"))
		putLease(t, b.log, "s", "")
		write(t, b.log, chunk(1, "x"))
		require.NoError(t, b.log.Put(bounded(t), eventlog.Cursors, item("k", 1, "x")))
		head, err := b.log.Head(bounded(t))
		require.NoError(t, err)
		require.Equal(t, first.Position, head)
		require.Len(t, readAll(t, b.log), 1)
	}},
}

var outputLaws = []law{
	{"output is read in order of its sequence, regardless of the order of arrival", func(t testing.TB, b handles) {
		write(t, b.log, chunk(2, "b"), chunk(10, "d"), chunk(1, "a"), chunk(3, "c\x00\xff"))
		want := []eventlog.Item{chunk(1, "a"), chunk(2, "b"), chunk(3, "c\x00\xff"), chunk(10, "d")}
		require.Equal(t, want, output(t, b.second, "m", 0, 0))
		require.Equal(t, want[1:], output(t, b.log, "m", 1, 0))
		require.Equal(t, want[3:], output(t, b.log, "m", 4, 0))
		require.Equal(t, want[1:3], output(t, b.log, "m", 1, 2))
		require.Empty(t, output(t, b.log, "m", 10, 0))
	}},
	{"a chunk of output that is sent twice is stored once, as it was first sent", func(t testing.TB, b handles) {
		write(t, b.log, chunk(1, "first"), chunk(2, "second"))
		write(t, b.second, chunk(1, "changed"), chunk(2, "second"))
		require.Equal(t, []eventlog.Item{chunk(1, "first"), chunk(2, "second")}, output(t, b.log, "m", 0, 0))
	}},
	{"output of different machines and deployments is separate", func(t testing.TB, b handles) {
		another := chunk(1, "another deployment's")
		another.Key = eventlog.OutputKey(id("other"), "m")
		write(t, b.log, chunk(1, "mine"), chunkOf("M", 1, "another machine's"),
			chunkOf("m/m", 1, "a third machine's"), another)
		require.Equal(t, []eventlog.Item{chunk(1, "mine")}, output(t, b.log, "m", 0, 0))
		require.Empty(t, output(t, b.log, "missing", 0, 0))
	}},
	{"pruning deletes output older than a time and returns the number of chunks", func(t testing.TB, b handles) {
		old, other := chunk(1, "old"), chunkOf("n", 1, "old")
		old.Time, other.Time = noon.Add(-time.Microsecond), noon.Add(-time.Microsecond)
		write(t, b.log, old, chunk(2, "at noon"), other)
		pruned, err := b.second.Prune(bounded(t), eventlog.Output, noon)
		require.NoError(t, err)
		require.Equal(t, 2, pruned)
		require.Equal(t, []eventlog.Item{chunk(2, "at noon")}, output(t, b.log, "m", 0, 0))
		require.Empty(t, output(t, b.log, "n", 0, 0))
		pruned, err = b.log.Prune(bounded(t), eventlog.Output, noon)
		require.NoError(t, err)
		require.Zero(t, pruned)
	}},
	{"a long output is read completely", func(t testing.TB, b handles) {
		for i := range int64(300) {
			write(t, b.log, chunk(i+1, "line"))
		}
		require.Len(t, output(t, b.second, "m", 0, 0), 300)
		require.Len(t, output(t, b.second, "m", 10, 270), 270)
	}},
	{"invalid output is refused with the reason", func(t testing.TB, b handles) {
		large := chunk(1, strings.Repeat("x", eventlog.MaxChunkBytes+1))
		for text, test := range map[string]struct {
			kind  error
			chunk eventlog.Item
		}{
			"the machine name is empty":         {eventlog.ErrInvalid, chunkOf("", 1, "x")},
			"invalid sequence 0: use 1 or more": {eventlog.ErrInvalid, chunk(0, "x")},
			"item 1 has 65537 bytes":            {eventlog.ErrTooLarge, large},
		} {
			err := b.log.Add(bounded(t), eventlog.Output, test.chunk)
			require.ErrorIs(t, err, test.kind)
			require.ErrorContains(t, err, text)
		}
		largest := chunk(1, strings.Repeat("\x00", eventlog.MaxChunkBytes))
		write(t, b.log, largest)
		require.Equal(t, []eventlog.Item{largest}, output(t, b.log, "m", 0, 0))
	}},
}
