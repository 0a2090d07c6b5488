package eventlogtest

import (
	"context"
	"encoding/json"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/droverhq/drover/eventlog"
)

var appendLaws = []law{
	{"an empty log is at position 0 and has an id", func(t testing.TB, b handles) {
		head, err := b.log.Head(bounded(t))
		require.NoError(t, err)
		require.Zero(t, head)
		logID, err := b.log.ID(bounded(t))
		require.NoError(t, err)
		require.NotEqual(t, uuid.Nil, logID)
		require.Empty(t, readAll(t, b.log))
		require.Empty(t, readStream(t, b.log, "missing"))
	}},
	{"revisions of a stream are consecutive from 0", func(t testing.TB, b handles) {
		put(t, b.log, "a", eventlog.NoStream, events(3, "a")...)
		put(t, b.log, "b", eventlog.NoStream, event("b"))
		put(t, b.second, "a", 2, events(2, "later a")...)
		for i, recorded := range readStream(t, b.log, "a") {
			require.Equal(t, eventlog.Revision(i), recorded.Revision)
		}
		require.Len(t, readStream(t, b.log, "a"), 5)
		require.Equal(t, eventlog.Revision(0), readStream(t, b.log, "b")[0].Revision)
	}},
	{"positions rise strictly over all streams and the head is the last position", func(t testing.TB, b handles) {
		first := put(t, b.log, "a", eventlog.NoStream, events(2, "a")...)
		last := put(t, b.second, "b", eventlog.NoStream, events(2, "b")...)
		require.Greater(t, last.Position, first.Position)
		before := eventlog.Position(0)
		for _, recorded := range readAll(t, b.log) {
			require.Greater(t, recorded.Position, before)
			before = recorded.Position
		}
		require.Equal(t, last.Position, before)
		head, err := b.log.Head(bounded(t))
		require.NoError(t, err)
		require.Equal(t, last.Position, head)
	}},
	{"every reader sees an acknowledged event immediately", func(t testing.TB, b handles) {
		for i := range 20 {
			appended := put(t, b.log, "a", eventlog.Revision(i-1), event("a", i))
			rest := collect(t, b.second.ReadAll(bounded(t), appended.Position-1, 0))
			require.Equal(t, []uuid.UUID{id("a", i)}, ids(rest))
		}
	}},
	{"an event reads back as it was written", checkEventUnchanged},
	{"data is stored in canonical form", func(t testing.TB, b handles) {
		odd := event("odd")
		odd.Data = json.RawMessage(" {\"b\" : 1.50,\n\"a\":\"\\u003c\\/>\" } ")
		put(t, b.log, "a", eventlog.NoStream, odd)
		require.Equal(t, []byte(`{"a":"</>","b":1.50}`), []byte(readAll(t, b.log)[0].Data))
	}},
	{"the checksum of an event is the same on every backend", func(t testing.TB, b handles) {
		put(t, b.log, "project/shop", eventlog.NoStream, event("first"), eventlog.Event{
			ID:   uuid.MustParse("0192d1f4-6d1c-7a33-9c1e-2f6a5d0b7e11"),
			Type: "release.created/v1",
			Data: json.RawMessage(`{"version":"1.4.3", "notes":"größer & <schneller>", "parts":[1.0,2e3,null]}`),
		})
		recorded := readAll(t, b.log)[1]
		require.Equal(t, "c9e08a3a2a1794dd8352eb2c7c377609",
			eventlog.Checksum(recorded.Stream, recorded.Revision, recorded.Event))
	}},
	{"changes that a caller makes after an append do not affect the log", func(t testing.TB, b handles) {
		mine := event("mine")
		mine.Causes = []uuid.UUID{id("cause")}
		put(t, b.log, "a", eventlog.NoStream, mine)
		copy(mine.Data, "edited")
		mine.Causes[0] = uuid.Nil
		stored := readAll(t, b.log)[0]
		require.Equal(t, event("mine").Data, stored.Data)
		require.Equal(t, []uuid.UUID{id("cause")}, stored.Causes)
	}},
	{"streams with similar names are separate", func(t testing.TB, b handles) {
		names := []string{"a", "A", "a ", " a", "a/", "a/b", "a%", "a_", "ä", "a\u0308", "'a", `"a"`, "$a", "a-b", "🚀"}
		for i, name := range names {
			put(t, b.log, name, eventlog.NoStream, event(i))
		}
		for i, name := range names {
			require.Equal(t, []uuid.UUID{id(i)}, ids(readStream(t, b.second, name)), "stream %q", name)
		}
	}},
	{"a refused append stores nothing", func(t testing.TB, b handles) {
		put(t, b.log, "a", eventlog.NoStream, event("first"))
		bad := events(3, "bad")
		bad[2].Type = ""
		_, err := b.log.Append(bounded(t), "a", 0, bad...)
		require.ErrorIs(t, err, eventlog.ErrInvalid)
		_, err = b.log.Append(bounded(t), "a", eventlog.NoStream, events(3, "late")...)
		conflict(t, err, "a", eventlog.NoStream, 0)
		require.Equal(t, []uuid.UUID{id("first")}, ids(readAll(t, b.log)))
	}},
	{"any history of appends reads back completely and in order", checkHistories},
}

func checkEventUnchanged(t testing.TB, b handles) {
	full := eventlog.Event{
		ID:      id("full"),
		Type:    "machine.came-online/v1",
		Time:    time.Date(2026, 11, 20, 23, 59, 59, 123456789, time.FixedZone("somewhere", 7200)),
		Command: id("command"),
		Causes:  []uuid.UUID{id("cause 1"), id("cause 2")},
		Data:    json.RawMessage(`{"deep":{"list":[1,"two",null,true]},"text":"tab\u0009 nul\u0000 end"}`),
	}
	bare := eventlog.Event{ID: id("bare"), Type: "x", Data: json.RawMessage(`{}`)}
	put(t, b.log, "machine/web-01", eventlog.NoStream, full, bare)
	want := full
	want.Time = full.Time.UTC().Truncate(time.Microsecond)
	for _, log := range []eventlog.Backend{b.log, b.second} {
		got := readStream(t, log, "machine/web-01")
		require.Equal(t, want, got[0].Event)
		require.Equal(t, bare, got[1].Event)
		require.Equal(t, "machine/web-01", got[1].Stream)
		require.Equal(t, got, readAll(t, log))
	}
}

// checkHistories compares random histories with a list, the simplest model of a log.
func checkHistories(t testing.TB, b handles) {
	round := 0
	rapid.Check(t, func(t *rapid.T) {
		round++
		ctx := context.Background()
		base, err := b.log.Head(ctx)
		require.NoError(t, err)
		var model []uuid.UUID
		length := map[string]int{}
		for step := range rapid.IntRange(1, 12).Draw(t, "appends") {
			stream := rapid.SampledFrom([]string{"a", "b", "c"}).Draw(t, "stream") + id(round).String()
			log := rapid.SampledFrom([]eventlog.Backend{b.log, b.second}).Draw(t, "log")
			made := events(rapid.IntRange(1, 5).Draw(t, "n"), round, step)
			actual := eventlog.Revision(length[stream] - 1)
			expected := actual + eventlog.Revision(rapid.SampledFrom([]int{0, 0, 0, 1, -1, 7}).Draw(t, "off"))
			_, err := log.Append(ctx, stream, max(expected, eventlog.NoStream), made...)
			if max(expected, eventlog.NoStream) != actual {
				conflict(t, err, stream, max(expected, eventlog.NoStream), actual)
				continue
			}
			require.NoError(t, err)
			model = append(model, idsOf(made)...)
			length[stream] += len(made)
		}
		all := collect(t, b.second.ReadAll(ctx, base, 0))
		require.Len(t, all, len(model))
		for i, recorded := range all {
			require.Equal(t, model[i], recorded.ID)
		}
		for stream, n := range length {
			require.Len(t, readStream(t, b.log, stream), n)
		}
	})
}
