package eventstoredb_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/droverhq/drover/eventlog"
	"github.com/droverhq/drover/eventlog/eventstoredb"
	"github.com/droverhq/drover/eventlog/eventstoredb/eventstoredbtest"
)

// item is what a writer wants to be in the log once.
type item struct{ writer, number int }

// writer appends its items one after the other to streams that it shares with others.
type writer struct {
	number int
	log    *eventstoredb.Log
	random *rand.Rand
	// forgetful is the control: it takes an unknown outcome for a failure, and writes the item again as another event.
	forgetful bool
	unknown   int
	placed    map[item]eventlog.Recorded // by what Append answered
	progress  chan<- struct{}
}

func (w *writer) run(t *testing.T, items int) {
	at := map[string]eventlog.Revision{}
	for number := range items {
		stream := fmt.Sprint("stream", w.random.IntN(3))
		expected, ok := at[stream]
		if !ok {
			expected = eventlog.NoStream
		}
		made := event(w.number, number)
		made.Type = fmt.Sprintf("%d/%d", w.number, number)
		for tries := 0; ; tries++ {
			appended, err := w.log.Append(within(t, 20*time.Second), stream, expected, made)
			var conflict *eventlog.Conflict
			if err == nil {
				at[stream] = appended.Revision
				w.placed[item{w.number, number}] = eventlog.Recorded{Stream: stream, Revision: appended.Revision, Position: appended.Position}
				w.progress <- struct{}{}
				break
			}
			switch {
			case errors.As(err, &conflict):
				expected = conflict.Actual
			case errors.Is(err, eventlog.ErrUnknownOutcome):
				if w.unknown++; w.forgetful {
					made.ID = uuid.New()
				}
			case !errors.Is(err, eventlog.ErrUnavailable):
				t.Errorf("append: %v", err)
				return
			}
			if tries > 2000 {
				t.Errorf("item %d of writer %d comes never in: %v", number, w.number, err)
				return
			}
		}
	}
}

// harass does something bad to the cluster each time some appends were acknowledged.
func harass(t *testing.T, cluster *eventstoredbtest.Cluster, random *rand.Rand, progress <-chan struct{}) {
	faults := []eventstoredbtest.Fault{
		eventstoredbtest.LoseReply, eventstoredbtest.TimeOut, eventstoredbtest.StallAfter, eventstoredbtest.Refuse, eventstoredbtest.NotLeader,
	}
	n, next := 0, 10
	for range progress {
		if n++; n < next {
			continue
		}
		next = n + 1 + random.IntN(15)
		switch node := random.IntN(3); random.IntN(6) {
		case 0:
			cluster.Node(node).Kill()
			require.NoError(t, cluster.Node(node).Start())
		case 1:
			cluster.Lead(node)
		case 2:
			require.NoError(t, cluster.Node(node).GoAway())
		default:
			fault := faults[random.IntN(len(faults))]
			for range 1 + random.IntN(8) {
				cluster.Fail(eventstoredbtest.Append, fault)
			}
			cluster.Fail(eventstoredbtest.Read, faults[random.IntN(len(faults))])
		}
	}
}

// impatient opens a log that soon gives up, for which the opening itself may need another try.
func impatient(t *testing.T, cluster *eventstoredbtest.Cluster) *eventstoredb.Log {
	t.Helper()
	for {
		log, err := eventstoredb.Open(within(t, 20*time.Second), cluster.URL(nil), eventstoredb.Config{Answer: 50 * time.Millisecond, Patience: 150 * time.Millisecond})
		if err == nil {
			t.Cleanup(func() { _ = log.Close() })
			return log
		}
		require.ErrorIs(t, err, eventlog.ErrUnavailable)
	}
}

// suffer lets four writers write under random faults, and returns how often each item is
// in the log, how many outcomes were unknown, and what was answered falsely.
func suffer(t *testing.T, seed uint64, forgetful bool) (times map[item]int, unknown int, falsely []string) {
	const writers, items = 4, 60
	cluster := start(t, eventstoredbtest.Config{Nodes: 3})
	progress := make(chan struct{}, writers*items)
	all := make([]*writer, writers)
	var writing sync.WaitGroup
	for i := range all {
		all[i] = &writer{number: i, log: impatient(t, cluster), random: rand.New(rand.NewPCG(seed, uint64(i))), forgetful: forgetful,
			placed: map[item]eventlog.Recorded{}, progress: progress}
	}
	for _, w := range all {
		writing.Go(func() { w.run(t, items) })
	}
	go func() { writing.Wait(); close(progress) }()
	harass(t, cluster, rand.New(rand.NewPCG(seed, 99)), progress)
	cluster.Heal()

	held := map[eventlog.Position]eventlog.Recorded{}
	times = map[item]int{}
	next := map[string]eventlog.Revision{}
	for _, recorded := range readAll(t, with(t, cluster, eventstoredb.Config{})) {
		var i item
		_, err := fmt.Sscanf(recorded.Type, "%d/%d", &i.writer, &i.number)
		require.NoError(t, err)
		times[i]++
		held[recorded.Position] = recorded
		require.Equal(t, next[recorded.Stream], recorded.Revision, "a hole in %s", recorded.Stream)
		next[recorded.Stream]++
	}
	for _, w := range all {
		unknown += w.unknown
		for i, placed := range w.placed {
			found := held[placed.Position]
			if found.Stream != placed.Stream || found.Revision != placed.Revision || found.Type != fmt.Sprintf("%d/%d", i.writer, i.number) {
				falsely = append(falsely, fmt.Sprintf("%v is said to be at %v", i, placed))
			}
		}
	}
	require.Len(t, times, writers*items, "an item was lost")
	return times, unknown, falsely
}

func seedOf(t *testing.T) uint64 {
	t.Helper()
	seed := rand.Uint64()
	if text := os.Getenv("DROVER_TEST_SEED"); text != "" {
		var err error
		seed, err = strconv.ParseUint(text, 10, 64)
		require.NoError(t, err)
	}
	t.Logf("DROVER_TEST_SEED=%d", seed)
	return seed
}

func TestUnderRandomFaultsEverythingIsInTheLogOnceAndWhereItIsSaidToBe(t *testing.T) {
	times, unknown, falsely := suffer(t, seedOf(t), false)
	t.Logf("%d items, %d unknown outcomes", len(times), unknown)
	require.Empty(t, falsely)
	for i, n := range times {
		require.Equal(t, 1, n, "item %v", i)
	}
}

func TestUnderRandomFaultsAWriterThatForgetsItsIDsWritesTwice(t *testing.T) {
	seed := seedOf(t)
	for round := range uint64(10) {
		times, unknown, _ := suffer(t, seed+round, true)
		for _, n := range times {
			if n > 1 {
				t.Logf("round %d, %d unknown outcomes", round, unknown)
				return
			}
		}
	}
	t.Fatal("the faults show nothing")
}
