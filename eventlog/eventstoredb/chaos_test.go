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

// item is an event that a writer must get into the log exactly once.
type item struct{ writer, number int }

// writer appends its items one after the other to streams that it shares with other writers.
type writer struct {
	number int
	log    *eventstoredb.Log
	random *rand.Rand
	// newIDs makes the writer incorrect on purpose: it treats an unknown outcome as a failure and writes the item again
	// under a new id.
	newIDs   bool
	unknown  int
	placed   map[item]eventlog.Recorded // as Append reported it
	progress chan<- struct{}
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
				w.placed[item{w.number, number}] = eventlog.Recorded{Stream: stream, Revision: appended.Revision,
					Position: appended.Position}
				w.progress <- struct{}{}
				break
			}
			switch {
			case errors.As(err, &conflict):
				expected = conflict.Actual
			case errors.Is(err, eventlog.ErrUnknownOutcome):
				if w.unknown++; w.newIDs {
					made.ID = uuid.New()
				}
			case !errors.Is(err, eventlog.ErrUnavailable):
				t.Errorf("append: %v", err)
				return
			}
			if tries > 2000 {
				t.Errorf("item %d of writer %d is not written after 2000 attempts: %v", number, w.number, err)
				return
			}
		}
	}
}

// injectFaults injects a random fault after every few acknowledged appends.
func injectFaults(t *testing.T, cluster *eventstoredbtest.Cluster, random *rand.Rand, progress <-chan struct{}) {
	faults := []eventstoredbtest.Fault{
		eventstoredbtest.LoseReply, eventstoredbtest.TimeOut, eventstoredbtest.StallAfter, eventstoredbtest.Refuse,
		eventstoredbtest.NotLeader,
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
			cluster.SetLeader(node)
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

// openWithShortTimeouts opens a log with short timeouts. Opening it may itself need several attempts.
func openWithShortTimeouts(t *testing.T, cluster *eventstoredbtest.Cluster) *eventstoredb.Log {
	t.Helper()
	for {
		config := eventstoredb.Config{Timeout: 50 * time.Millisecond, RetryTimeout: 150 * time.Millisecond}
		log, err := eventstoredb.Open(within(t, 20*time.Second), cluster.URL(nil), config)
		if err == nil {
			t.Cleanup(func() { _ = log.Close() })
			return log
		}
		require.ErrorIs(t, err, eventlog.ErrUnavailable)
	}
}

// writeUnderFaults runs four writers under random faults. It returns how often each item is in the log, the number of
// unknown outcomes, and the acknowledgements that were wrong.
func writeUnderFaults(t *testing.T, seed uint64, newIDs bool) (times map[item]int, unknown int, wrong []string) {
	const writers, items = 4, 60
	cluster := start(t, eventstoredbtest.Config{Nodes: 3})
	progress := make(chan struct{}, writers*items)
	all := make([]*writer, writers)
	var writing sync.WaitGroup
	for i := range all {
		all[i] = &writer{number: i, log: openWithShortTimeouts(t, cluster),
			random: rand.New(rand.NewPCG(seed, uint64(i))), newIDs: newIDs,
			placed: map[item]eventlog.Recorded{}, progress: progress}
	}
	for _, w := range all {
		writing.Go(func() { w.run(t, items) })
	}
	go func() { writing.Wait(); close(progress) }()
	injectFaults(t, cluster, rand.New(rand.NewPCG(seed, 99)), progress)
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
		require.Equal(t, next[recorded.Stream], recorded.Revision, "gap in stream %s", recorded.Stream)
		next[recorded.Stream]++
	}
	for _, w := range all {
		unknown += w.unknown
		for i, placed := range w.placed {
			found := held[placed.Position]
			if found.Stream != placed.Stream || found.Revision != placed.Revision ||
				found.Type != fmt.Sprintf("%d/%d", i.writer, i.number) {
				wrong = append(wrong, fmt.Sprintf("%v is not at the acknowledged place %v", i, placed))
			}
		}
	}
	require.Len(t, times, writers*items, "an item was lost")
	return times, unknown, wrong
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

func TestRandomFaultsLeaveEachEventOnceAtItsAcknowledgedPosition(t *testing.T) {
	times, unknown, wrong := writeUnderFaults(t, seedOf(t), false)
	t.Logf("%d items, %d unknown outcomes", len(times), unknown)
	require.Empty(t, wrong)
	for i, n := range times {
		require.Equal(t, 1, n, "item %v", i)
	}
}

func TestRandomFaultsLeaveDuplicatesForWriterThatChangesIDs(t *testing.T) {
	seed := seedOf(t)
	for round := range uint64(10) {
		times, unknown, _ := writeUnderFaults(t, seed+round, true)
		for _, n := range times {
			if n > 1 {
				t.Logf("round %d, %d unknown outcomes", round, unknown)
				return
			}
		}
	}
	t.Fatal("no item was written twice: the faults are too rare for the test above to mean anything")
}
