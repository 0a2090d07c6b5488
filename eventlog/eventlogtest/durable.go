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

// item returns an item for a durable collection.
func item(key string, sequence int64, text string) eventlog.Item {
	return eventlog.Item{Key: key, Sequence: sequence, Time: noon, Data: []byte(text)}
}

func newest(t require.TestingT, log eventlog.Store, c eventlog.Collection) map[string]eventlog.Item {
	found, err := log.Newest(context.Background(), c)
	require.NoError(t, err)
	return found
}

// swapConflict requires err to be a SwapConflict with the given fields.
func swapConflict(t require.TestingT, err error, c eventlog.Collection, key string, sequence int64) {
	var refusal *eventlog.SwapConflict
	require.ErrorAs(t, err, &refusal)
	require.Equal(t, eventlog.SwapConflict{Collection: c, Key: key, Sequence: sequence}, *refusal)
}

// durable checks a law on each durable collection.
func durable(check func(t testing.TB, b handles, c eventlog.Collection)) func(testing.TB, handles) {
	return func(t testing.TB, b handles) {
		for _, c := range eventlog.Collections() {
			if c.Durable() {
				check(t, b, c)
			}
		}
	}
}

var itemLaws = []law{
	{"an item that was put is the only one of its key and every reader sees it immediately",
		durable(func(t testing.TB, b handles, c eventlog.Collection) {
			for i, put := range []eventlog.Item{item("k", 5, "five"), item("k", 5, "five"), item("k", 2, "two"),
				item("k", 9, "nine")} {
				log, other := b.log, b.second
				if i%2 == 1 {
					log, other = other, log
				}
				require.NoError(t, log.Put(bounded(t), c, put))
				require.Equal(t, map[string]eventlog.Item{"k": put}, newest(t, other, c))
			}
		})},
	{"an item reads back as it was stored", durable(checkItemUnchanged)},
	{"a swap that expects another item changes nothing and returns the actual sequence",
		durable(func(t testing.TB, b handles, c eventlog.Collection) {
			swapConflict(t, b.log.Swap(bounded(t), c, item("k", 2, "x"), 1), c, "k", 0)
			require.Empty(t, newest(t, b.second, c))
			require.NoError(t, b.log.Swap(bounded(t), c, item("k", 7, "first"), 0))
			for _, was := range []int64{0, 6, 8} {
				swapConflict(t, b.second.Swap(bounded(t), c, item("k", was+1, "x"), was), c, "k", 7)
			}
			require.Equal(t, map[string]eventlog.Item{"k": item("k", 7, "first")}, newest(t, b.log, c))
			require.NoError(t, b.second.Swap(bounded(t), c, item("k", 9, "second"), 7))
			require.Equal(t, map[string]eventlog.Item{"k": item("k", 9, "second")}, newest(t, b.log, c))
		})},
	{"a repeated swap succeeds while its item is stored", durable(func(t testing.TB, b handles, c eventlog.Collection) {
		for _, log := range []eventlog.Backend{b.log, b.second, b.log} {
			require.NoError(t, log.Swap(bounded(t), c, item("k", 1, "first"), 0))
		}
		later := item("k", 1, "first")
		later.Time = noon.Add(time.Microsecond)
		for _, other := range []eventlog.Item{item("k", 1, "other"), item("k", 2, "first"), later} {
			swapConflict(t, b.second.Swap(bounded(t), c, other, 0), c, "k", 1)
		}
		require.NoError(t, b.second.Swap(bounded(t), c, item("k", 2, "second"), 1))
		require.NoError(t, b.log.Swap(bounded(t), c, item("k", 2, "second"), 1))
		swapConflict(t, b.log.Swap(bounded(t), c, item("k", 1, "first"), 0), c, "k", 2)
	})},
	{"of many swaps that expect the same item exactly one succeeds", durable(checkSwaps)},
	{"a swap to a sequence that is not higher is refused",
		durable(func(t testing.TB, b handles, c eventlog.Collection) {
			require.NoError(t, b.log.Put(bounded(t), c, item("k", 3, "x")))
			for _, sequence := range []int64{-1, 0, 1, 2, 3} {
				require.ErrorIs(t, b.log.Swap(bounded(t), c, item("k", sequence, "y"), 3), eventlog.ErrInvalid)
			}
			require.ErrorIs(t, b.log.Swap(bounded(t), c, item("k", 1, "y"), -1), eventlog.ErrInvalid)
			require.Equal(t, map[string]eventlog.Item{"k": item("k", 3, "x")}, newest(t, b.second, c))
		})},
	{"a dropped item is gone for every reader and its key can be used again",
		durable(func(t testing.TB, b handles, c eventlog.Collection) {
			require.NoError(t, b.log.Drop(bounded(t), c, "k"))
			for round := range int64(3) {
				require.NoError(t, b.log.Swap(bounded(t), c, item("k", round+1, "x"), 0))
				require.NoError(t, b.log.Put(bounded(t), c, item("other", 1, "x")))
				require.NoError(t, b.second.Drop(bounded(t), c, "k"))
				require.NoError(t, b.log.Drop(bounded(t), c, "k"))
				require.Equal(t, map[string]eventlog.Item{"other": item("other", 1, "x")}, newest(t, b.log, c))
				swapConflict(t, b.log.Swap(bounded(t), c, item("k", round+2, "x"), round+1), c, "k", 0)
			}
			require.NoError(t, b.second.Put(bounded(t), c, item("k", 1, "again")))
			require.Equal(t, item("k", 1, "again"), newest(t, b.log, c)["k"])
		})},
	{"after a concurrent put and drop all readers see the same result", durable(checkDropRace)},
	{"items of different keys and collections are separate", func(t testing.TB, b handles) {
		keys := []string{"a", "A", "a ", " a", "a/", "a/b", "a%", "a_", "a.", "ä", "a\u0308", "'a", `"a"`, "$a",
			"a-b", "🚀", "<&>\u2028"}
		want := map[eventlog.Collection]map[string]eventlog.Item{}
		durable(func(t testing.TB, b handles, c eventlog.Collection) {
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
	{"all of many keys are found", durable(func(t testing.TB, b handles, c eventlog.Collection) {
		for i := range 150 {
			require.NoError(t, b.log.Put(bounded(t), c, item(fmt.Sprint("key ", i), 1, "x")))
		}
		require.Len(t, newest(t, b.second, c), 150)
	})},
	{"a reopened log has the same items", func(t testing.TB, b handles) {
		if b.Reopen == nil {
			t.Skipf("Close discards a log in %s", b.Name)
		}
		durable(func(t testing.TB, b handles, c eventlog.Collection) {
			require.NoError(t, b.log.Put(bounded(t), c, item("k", 1, "first")))
			require.NoError(t, b.log.Swap(bounded(t), c, item("k", 2, "second"), 1))
			require.NoError(t, b.log.Put(bounded(t), c, item("dropped", 1, "x")))
			require.NoError(t, b.log.Drop(bounded(t), c, "dropped"))
		})(t, b)
		require.NoError(t, b.log.Close())
		again := b.Reopen(t, b.log)
		defer func() { require.NoError(t, again.Close()) }()
		durable(func(t testing.TB, _ handles, c eventlog.Collection) {
			require.Equal(t, map[string]eventlog.Item{"k": item("k", 2, "second")}, newest(t, again, c))
			require.NoError(t, again.Swap(bounded(t), c, item("k", 2, "second"), 1))
			swapConflict(t, again.Swap(bounded(t), c, item("k", 3, "third"), 1), c, "k", 2)
		})(t, b)
	}},
}

func checkItemUnchanged(t testing.TB, b handles, c eventlog.Collection) {
	full := eventlog.Item{Key: "full", Sequence: math.MaxInt64, Data: []byte("\x00\xff {\"a\": 1}\n")}
	full.Time = time.Date(2026, 11, 20, 23, 59, 59, 123456789, time.FixedZone("somewhere", 7200))
	bare := eventlog.Item{Key: "bare", Sequence: 1}
	mine := full
	mine.Data = append([]byte{}, full.Data...)
	require.NoError(t, b.log.Put(bounded(t), c, mine))
	require.NoError(t, b.log.Swap(bounded(t), c, bare, 0))
	copy(mine.Data, "edited")
	full.Time = full.Time.UTC().Truncate(time.Microsecond)
	for _, log := range []eventlog.Backend{b.log, b.second} {
		found := newest(t, log, c)
		require.Equal(t, full, found["full"])
		require.Equal(t, eventlog.Item{Key: "bare", Sequence: 1, Data: []byte{}}, found["bare"])
		copy(found["full"].Data, "edited")
	}
	require.Equal(t, full, newest(t, b.log, c)["full"])
}

// checkSwaps makes several goroutines swap one key in several rounds. Each round expects the item of the previous
// round.
func checkSwaps(t testing.TB, b handles, c eventlog.Collection) {
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
			swapConflict(t, err, c, "race", round+1)
		}
		require.Len(t, winners, 1, "at sequence %d", round)
		require.Equal(t, item("race", round+1, winners[0]), newest(t, b.log, c)["race"])
	}
}

// checkDropRace puts and drops one key concurrently, then compares the result of Newest with that of Swap.
func checkDropRace(t testing.TB, b handles, c eventlog.Collection) {
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
		sequence := newest(t, b.log, c)[key].Sequence
		require.Equal(t, sequence, newest(t, b.second, c)[key].Sequence)
		require.NoError(t, b.second.Swap(bounded(t), c, item(key, sequence+1, "after"), sequence))
		require.Equal(t, item(key, sequence+1, "after"), newest(t, b.log, c)[key])
	}
}
