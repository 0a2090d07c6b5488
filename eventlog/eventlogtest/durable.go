package eventlogtest

import (
	"context"
	"fmt"
	"math"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/droverhq/drover/eventlog"
)

// item makes an item of a durable collection.
func item(key string, sequence int64, text string) eventlog.Item {
	return eventlog.Item{Key: key, Sequence: sequence, Time: noon, Data: []byte(text)}
}

func newest(t require.TestingT, log eventlog.Store, c eventlog.Collection) map[string]eventlog.Item {
	found, err := log.Newest(context.Background(), c)
	require.NoError(t, err)
	return found
}

// moved expects err to be the refusal of a Swap that names what is there.
func moved(t require.TestingT, err error, c eventlog.Collection, key string, sequence int64) {
	var refusal *eventlog.Moved
	require.ErrorAs(t, err, &refusal)
	require.Equal(t, eventlog.Moved{Collection: c, Key: key, Sequence: sequence}, *refusal)
}

// durable is a law of each durable collection.
func durable(prove func(t testing.TB, b bench, c eventlog.Collection)) func(testing.TB, bench) {
	return func(t testing.TB, b bench) {
		for _, c := range eventlog.Collections() {
			if c.Durable() {
				prove(t, b, c)
			}
		}
	}
}

var itemLaws = []law{
	{"an item that is put is the only one under its key and is seen at once by everyone", durable(func(t testing.TB, b bench, c eventlog.Collection) {
		for i, put := range []eventlog.Item{item("k", 5, "five"), item("k", 5, "five"), item("k", 2, "two"), item("k", 9, "nine")} {
			log, other := b.log, b.second
			if i%2 == 1 {
				log, other = other, log
			}
			require.NoError(t, log.Put(bounded(t), c, put))
			require.Equal(t, map[string]eventlog.Item{"k": put}, newest(t, other, c))
		}
	})},
	{"an item is read back as it was stored", durable(proveItemUnchanged)},
	{"a swap that expects what is not there changes nothing and says what is there", durable(func(t testing.TB, b bench, c eventlog.Collection) {
		moved(t, b.log.Swap(bounded(t), c, item("k", 2, "x"), 1), c, "k", 0)
		require.Empty(t, newest(t, b.second, c))
		require.NoError(t, b.log.Swap(bounded(t), c, item("k", 7, "first"), 0))
		for _, was := range []int64{0, 6, 8} {
			moved(t, b.second.Swap(bounded(t), c, item("k", was+1, "x"), was), c, "k", 7)
		}
		require.Equal(t, map[string]eventlog.Item{"k": item("k", 7, "first")}, newest(t, b.log, c))
		require.NoError(t, b.second.Swap(bounded(t), c, item("k", 9, "second"), 7))
		require.Equal(t, map[string]eventlog.Item{"k": item("k", 9, "second")}, newest(t, b.log, c))
	})},
	{"a swap sent again succeeds as long as its item is there", durable(func(t testing.TB, b bench, c eventlog.Collection) {
		for _, log := range []eventlog.Backend{b.log, b.second, b.log} {
			require.NoError(t, log.Swap(bounded(t), c, item("k", 1, "first"), 0))
		}
		later := item("k", 1, "first")
		later.Time = noon.Add(time.Microsecond)
		for _, other := range []eventlog.Item{item("k", 1, "another's"), item("k", 2, "first"), later} {
			moved(t, b.second.Swap(bounded(t), c, other, 0), c, "k", 1)
		}
		require.NoError(t, b.second.Swap(bounded(t), c, item("k", 2, "second"), 1))
		require.NoError(t, b.log.Swap(bounded(t), c, item("k", 2, "second"), 1))
		moved(t, b.log.Swap(bounded(t), c, item("k", 1, "first"), 0), c, "k", 2)
	})},
	{"of many swaps that expect the same exactly one succeeds", durable(proveSwaps)},
	{"a swap to a sequence that does not rise is refused", durable(func(t testing.TB, b bench, c eventlog.Collection) {
		require.NoError(t, b.log.Put(bounded(t), c, item("k", 3, "x")))
		for _, sequence := range []int64{-1, 0, 1, 2, 3} {
			require.ErrorIs(t, b.log.Swap(bounded(t), c, item("k", sequence, "y"), 3), eventlog.ErrInvalid)
		}
		require.ErrorIs(t, b.log.Swap(bounded(t), c, item("k", 1, "y"), -1), eventlog.ErrInvalid)
		require.Equal(t, map[string]eventlog.Item{"k": item("k", 3, "x")}, newest(t, b.second, c))
	})},
	{"an item that was dropped is gone for everyone and its key can be used again", durable(func(t testing.TB, b bench, c eventlog.Collection) {
		require.NoError(t, b.log.Drop(bounded(t), c, "k"))
		for round := range int64(3) {
			require.NoError(t, b.log.Swap(bounded(t), c, item("k", round+1, "x"), 0))
			require.NoError(t, b.log.Put(bounded(t), c, item("stays", 1, "x")))
			require.NoError(t, b.second.Drop(bounded(t), c, "k"))
			require.NoError(t, b.log.Drop(bounded(t), c, "k"))
			require.Equal(t, map[string]eventlog.Item{"stays": item("stays", 1, "x")}, newest(t, b.log, c))
			moved(t, b.log.Swap(bounded(t), c, item("k", round+2, "x"), round+1), c, "k", 0)
		}
		require.NoError(t, b.second.Put(bounded(t), c, item("k", 1, "again")))
		require.Equal(t, item("k", 1, "again"), newest(t, b.log, c)["k"])
	})},
	{"an item that is put while its key is dropped is there for all or for nobody", durable(proveDropRace)},
	{"items of one key and one collection are kept from all others", func(t testing.TB, b bench) {
		keys := []string{"a", "A", "a ", " a", "a/", "a/b", "a%", "a_", "a.", "ä", "a\u0308", "'a", `"a"`, "$a", "a-b", "🚀", "<&>\u2028"}
		want := map[eventlog.Collection]map[string]eventlog.Item{}
		durable(func(t testing.TB, b bench, c eventlog.Collection) {
			want[c] = map[string]eventlog.Item{}
			for i, key := range keys {
				want[c][key] = item(key, int64(i+1), string(c)+key)
				require.NoError(t, b.log.Swap(bounded(t), c, want[c][key], 0))
			}
		})(t, b)
		for c, items := range want {
			require.Equal(t, items, newest(t, b.second, c))
			require.NoError(t, b.log.Drop(bounded(t), c, "a"))
			delete(items, "a")
		}
		for c, items := range want {
			require.Equal(t, items, newest(t, b.log, c))
		}
	}},
	{"of many keys all are found", durable(func(t testing.TB, b bench, c eventlog.Collection) {
		for i := range 150 {
			require.NoError(t, b.log.Put(bounded(t), c, item(fmt.Sprint("key ", i), 1, "x")))
		}
		require.Len(t, newest(t, b.second, c), 150)
	})},
	{"an item is there when the log is opened again", func(t testing.TB, b bench) {
		if b.Reopen == nil {
			t.Skipf("a log in %s ends with Close", b.Name)
		}
		durable(func(t testing.TB, b bench, c eventlog.Collection) {
			require.NoError(t, b.log.Put(bounded(t), c, item("k", 1, "first")))
			require.NoError(t, b.log.Swap(bounded(t), c, item("k", 2, "second"), 1))
			require.NoError(t, b.log.Put(bounded(t), c, item("dropped", 1, "x")))
			require.NoError(t, b.log.Drop(bounded(t), c, "dropped"))
		})(t, b)
		require.NoError(t, b.log.Close())
		again := b.Reopen(t, b.log)
		defer func() { require.NoError(t, again.Close()) }()
		durable(func(t testing.TB, _ bench, c eventlog.Collection) {
			require.Equal(t, map[string]eventlog.Item{"k": item("k", 2, "second")}, newest(t, again, c))
			require.NoError(t, again.Swap(bounded(t), c, item("k", 2, "second"), 1))
			moved(t, again.Swap(bounded(t), c, item("k", 3, "third"), 1), c, "k", 2)
		})(t, b)
	}},
}

func proveItemUnchanged(t testing.TB, b bench, c eventlog.Collection) {
	full := eventlog.Item{Key: "full", Sequence: math.MaxInt64, Data: []byte("\x00\xff {\"a\": 1}\n")}
	full.Time = time.Date(2026, 11, 20, 23, 59, 59, 123456789, time.FixedZone("somewhere", 7200))
	bare := eventlog.Item{Key: "bare", Sequence: 1}
	mine := full
	mine.Data = append([]byte{}, full.Data...)
	require.NoError(t, b.log.Put(bounded(t), c, mine))
	require.NoError(t, b.log.Swap(bounded(t), c, bare, 0))
	copy(mine.Data, "spoilt")
	full.Time = full.Time.UTC().Truncate(time.Microsecond)
	for _, log := range []eventlog.Backend{b.log, b.second} {
		found := newest(t, log, c)
		require.Equal(t, full, found["full"])
		require.Equal(t, eventlog.Item{Key: "bare", Sequence: 1, Data: []byte{}}, found["bare"])
		copy(found["full"].Data, "spoilt")
	}
	require.Equal(t, full, newest(t, b.log, c)["full"])
}

// proveSwaps lets racers swap one key, round after round; each expects what the round before left.
func proveSwaps(t testing.TB, b bench, c eventlog.Collection) {
	const rounds, racers = 10, 8
	for round := range int64(rounds) {
		failures := make([]error, racers)
		var running sync.WaitGroup
		for i := range racers {
			log := []eventlog.Backend{b.log, b.second}[i%2]
			running.Go(func() { failures[i] = log.Swap(bounded(t), c, item("race", round+1, fmt.Sprint(i)), round) })
		}
		running.Wait()
		var winners []string
		for i, err := range failures {
			if err == nil {
				winners = append(winners, fmt.Sprint(i))
				continue
			}
			moved(t, err, c, "race", round+1)
		}
		require.Len(t, winners, 1, "at sequence %d", round)
		require.Equal(t, item("race", round+1, winners[0]), newest(t, b.log, c)["race"])
	}
}

// proveDropRace puts and drops one key at once, and compares what Newest shows in the end with what Swap finds.
func proveDropRace(t testing.TB, b bench, c eventlog.Collection) {
	for round := range 10 {
		key := fmt.Sprint("race ", round)
		failures := make([]error, 6)
		var running sync.WaitGroup
		for i := range failures {
			log := []eventlog.Backend{b.log, b.second}[i%2]
			running.Go(func() {
				if i < len(failures)/2 {
					failures[i] = log.Drop(bounded(t), c, key)
					return
				}
				failures[i] = log.Put(bounded(t), c, item(key, int64(i), "x"))
			})
		}
		running.Wait()
		for _, err := range failures {
			require.NoError(t, err)
		}
		there := newest(t, b.log, c)[key].Sequence
		require.Equal(t, there, newest(t, b.second, c)[key].Sequence)
		require.NoError(t, b.second.Swap(bounded(t), c, item(key, there+1, "after"), there))
		require.Equal(t, item(key, there+1, "after"), newest(t, b.log, c)[key])
	}
}
