package eventlogtest

import (
	"bytes"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/droverhq/drover/eventlog"
)

// noon is when the output of these laws arrived.
var noon = time.Date(2026, 3, 4, 12, 0, 0, 0, time.UTC)

func chunk(sequence int64, text string) eventlog.Chunk {
	return eventlog.Chunk{Sequence: sequence, Time: noon, Data: []byte(text)}
}

func output(t testing.TB, log eventlog.Backend, machine string, after int64, limit int) []eventlog.Chunk {
	return collect(t, log.ReadOutput(bounded(t), id("d"), machine, after, limit))
}

func write(t testing.TB, log eventlog.Backend, machine string, chunks ...eventlog.Chunk) {
	for _, one := range chunks {
		require.NoError(t, log.AppendOutput(bounded(t), id("d"), machine, one))
	}
}

var leaseLaws = []law{
	{"the last lease of each server is kept until it is dropped", func(t testing.TB, b bench) {
		ctx := bounded(t)
		require.NoError(t, b.log.PutLease(ctx, id("one"), []byte("1")))
		require.NoError(t, b.log.PutLease(ctx, id("two"), []byte{0, 255}))
		require.NoError(t, b.second.PutLease(ctx, id("one"), []byte("2")))
		leases, err := b.second.Leases(ctx)
		require.NoError(t, err)
		require.Equal(t, map[uuid.UUID][]byte{id("one"): []byte("2"), id("two"): {0, 255}}, leases)
		require.NoError(t, b.log.DropLease(ctx, id("one")))
		require.NoError(t, b.log.DropLease(ctx, id("one")))
		leases, err = b.second.Leases(ctx)
		require.NoError(t, err)
		require.Equal(t, map[uuid.UUID][]byte{id("two"): {0, 255}}, leases)
	}},
	{"a lease of 4 KiB is taken and a byte more is refused", func(t testing.TB, b bench) {
		require.NoError(t, b.log.PutLease(bounded(t), id("s"), make([]byte, eventlog.MaxLeaseBytes)))
		err := b.log.PutLease(bounded(t), id("s"), make([]byte, eventlog.MaxLeaseBytes+1))
		require.ErrorIs(t, err, eventlog.ErrTooLarge)
		leases, err := b.log.Leases(bounded(t))
		require.NoError(t, err)
		require.Len(t, leases[id("s")], eventlog.MaxLeaseBytes)
	}},
	{"leases and output take no place in the log", func(t testing.TB, b bench) {
		first := put(t, b.log, "a", eventlog.NoStream, event("a"))
		require.NoError(t, b.log.PutLease(bounded(t), id("s"), nil))
		write(t, b.log, "m", chunk(1, "x"))
		head, err := b.log.Head(bounded(t))
		require.NoError(t, err)
		require.Equal(t, first.Position, head)
		require.Len(t, readAll(t, b.log), 1)
	}},
}

var outputLaws = []law{
	{"output is read in order of its sequence, whatever the order it came in", func(t testing.TB, b bench) {
		write(t, b.log, "m", chunk(2, "b"), chunk(10, "d"), chunk(1, "a"), chunk(3, "c\x00\xff"))
		want := []eventlog.Chunk{chunk(1, "a"), chunk(2, "b"), chunk(3, "c\x00\xff"), chunk(10, "d")}
		require.Equal(t, want, output(t, b.second, "m", 0, 0))
		require.Equal(t, want[1:], output(t, b.log, "m", 1, 0))
		require.Equal(t, want[3:], output(t, b.log, "m", 4, 0))
		require.Equal(t, want[1:3], output(t, b.log, "m", 1, 2))
		require.Empty(t, output(t, b.log, "m", 10, 0))
	}},
	{"a chunk of output sent twice is kept once, as it came first", func(t testing.TB, b bench) {
		write(t, b.log, "m", chunk(1, "first"), chunk(2, "second"))
		write(t, b.second, "m", chunk(1, "changed"), chunk(2, "second"))
		require.Equal(t, []eventlog.Chunk{chunk(1, "first"), chunk(2, "second")}, output(t, b.log, "m", 0, 0))
	}},
	{"output of one machine in one deployment is kept from all other", func(t testing.TB, b bench) {
		write(t, b.log, "m", chunk(1, "mine"))
		write(t, b.log, "M", chunk(1, "another machine's"))
		require.NoError(t, b.log.AppendOutput(bounded(t), id("other"), "m", chunk(1, "another deployment's")))
		require.Equal(t, []eventlog.Chunk{chunk(1, "mine")}, output(t, b.log, "m", 0, 0))
		require.Empty(t, output(t, b.log, "nobody", 0, 0))
	}},
	{"pruning forgets the output older than a time and says how much", func(t testing.TB, b bench) {
		old := eventlog.Chunk{Sequence: 1, Time: noon.Add(-time.Microsecond), Data: []byte("old")}
		write(t, b.log, "m", old, chunk(2, "at noon"))
		write(t, b.log, "n", old)
		pruned, err := b.second.PruneOutput(bounded(t), noon)
		require.NoError(t, err)
		require.Equal(t, 2, pruned)
		require.Equal(t, []eventlog.Chunk{chunk(2, "at noon")}, output(t, b.log, "m", 0, 0))
		require.Empty(t, output(t, b.log, "n", 0, 0))
		pruned, err = b.log.PruneOutput(bounded(t), noon)
		require.NoError(t, err)
		require.Zero(t, pruned)
	}},
	{"a long output is read whole", func(t testing.TB, b bench) {
		for i := range int64(300) {
			write(t, b.log, "m", chunk(i+1, "line"))
		}
		require.Len(t, output(t, b.second, "m", 0, 0), 300)
		require.Len(t, output(t, b.second, "m", 10, 270), 270)
	}},
	{"output that cannot be kept is refused with the reason", func(t testing.TB, b bench) {
		for words, try := range map[string]struct {
			kind    error
			machine string
			chunk   eventlog.Chunk
		}{
			"the machine's name is empty": {eventlog.ErrInvalid, "", chunk(1, "x")},
			"sequence 0, the first is 1":  {eventlog.ErrInvalid, "m", chunk(0, "x")},
			"chunk 1 has 65537 bytes":     {eventlog.ErrTooLarge, "m", eventlog.Chunk{Sequence: 1, Data: make([]byte, 65537)}},
		} {
			err := b.log.AppendOutput(bounded(t), id("d"), try.machine, try.chunk)
			require.ErrorIs(t, err, try.kind)
			require.ErrorContains(t, err, words)
		}
		largest := eventlog.Chunk{Sequence: 1, Time: noon, Data: bytes.Repeat([]byte{0}, eventlog.MaxChunkBytes)}
		write(t, b.log, "m", largest)
		require.Equal(t, []eventlog.Chunk{largest}, output(t, b.log, "m", 0, 0))
	}},
}
