package eventstoredb_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/EventStore/EventStore-Client-Go/v4/esdb"
	"github.com/google/uuid"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/droverhq/drover/eventlog"
	"github.com/droverhq/drover/eventlog/eventstoredb"
	"github.com/droverhq/drover/eventlog/eventstoredb/eventstoredbtest"
)

// grace is how much later than its context a call may return. It is far more than a call needs.
const grace = time.Second

func event(words ...any) eventlog.Event {
	return eventlog.Event{
		ID: uuid.NewSHA1(uuid.NameSpaceURL, []byte(fmt.Sprint(words...))), Type: "thing.happened/v1",
		Data: json.RawMessage(fmt.Sprintf(`{"what":%q}`, fmt.Sprint(words...))),
	}
}

func events(n int, words ...any) []eventlog.Event {
	made := make([]eventlog.Event, n)
	for i := range made {
		made[i] = event(append(words[:len(words):len(words)], i)...)
	}
	return made
}

// within returns a context with a timeout.
func within(t testing.TB, length time.Duration) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), length)
	t.Cleanup(cancel)
	return ctx
}

// punctual runs call and fails the test if it returns more than grace after its context is done.
func punctual(ctx context.Context, t testing.TB, call func() error) error {
	t.Helper()
	done := make(chan error, 1)
	go func() { done <- call() }()
	deadline, _ := ctx.Deadline()
	select {
	case err := <-done:
		return err
	case <-time.After(time.Until(deadline) + grace):
		t.Fatal("the call did not return after its context ended")
		return nil
	}
}

func put(t testing.TB, log eventlog.Log, stream string, expected eventlog.Revision,
	events ...eventlog.Event) eventlog.Appended {
	t.Helper()
	appended, err := log.Append(within(t, 20*time.Second), stream, expected, events...)
	require.NoError(t, err)
	return appended
}

func readAll(t testing.TB, log eventlog.Log) []eventlog.Recorded {
	t.Helper()
	var all []eventlog.Recorded
	for recorded, err := range log.ReadAll(within(t, 20*time.Second), 0, 0) {
		require.NoError(t, err)
		all = append(all, recorded)
	}
	return all
}

func readStream(ctx context.Context, log eventlog.Log, stream string) (n int, err error) {
	for _, broken := range log.ReadStream(ctx, stream, 0, 0) {
		if err = broken; err == nil {
			n++
		}
	}
	return n, err
}

// with opens the log "default" of a cluster.
func with(t testing.TB, cluster *eventstoredbtest.Cluster, config eventstoredb.Config) *eventstoredb.Log {
	t.Helper()
	log, err := eventstoredb.Open(within(t, 20*time.Second), cluster.URL(nil), config)
	require.NoError(t, err)
	t.Cleanup(func() { _ = log.Close() })
	return log
}

func TestClosedClientIsReplacedWhenServerReturns(t *testing.T) {
	cluster := start(t, eventstoredbtest.Config{})
	log := with(t, cluster, eventstoredb.Config{})
	put(t, log, "a", eventlog.NoStream, event("before"))
	cluster.Node(0).Kill()

	t.Run("a bare client stays closed", func(t *testing.T) {
		bare := bareClient(t, cluster.URL(nil, "maxDiscoverAttempts=1"))
		_, err := bare.ReadStream(within(t, time.Second), "x", esdb.ReadStreamOptions{}, 1)
		require.Error(t, err)
		require.NoError(t, cluster.Node(0).Start())
		defer cluster.Node(0).Kill()
		_, err = bare.ReadStream(within(t, time.Second), "x", esdb.ReadStreamOptions{}, 1)
		var named *esdb.Error
		require.ErrorAs(t, err, &named)
		require.Equal(t, esdb.ErrorCodeConnectionClosed, named.Code())
	})

	ctx := within(t, 500*time.Millisecond)
	err := punctual(ctx, t, func() error { _, err := log.Append(ctx, "a", 0, event("during")); return err })
	require.ErrorIs(t, err, context.DeadlineExceeded)
	require.NoError(t, cluster.Node(0).Start())
	put(t, log, "a", 0, event("after"))
	require.Len(t, readAll(t, log), 2)
}

func bareClient(t testing.TB, url string) *esdb.Client {
	t.Helper()
	configuration, err := esdb.ParseConnectionString(url)
	require.NoError(t, err)
	configuration.Logger = esdb.NoopLogging()
	client, err := esdb.NewClient(configuration)
	require.NoError(t, err)
	t.Cleanup(func() { _ = client.Close() })
	return client
}

func TestConcurrentCallsToDeadServerEndWithTheirContexts(t *testing.T) {
	cluster := start(t, eventstoredbtest.Config{})
	log := with(t, cluster, eventstoredb.Config{})
	cluster.Node(0).Kill()
	var calling sync.WaitGroup
	for i := range 24 {
		calling.Go(func() {
			ctx := within(t, 700*time.Millisecond)
			done := make(chan error, 1)
			go func() {
				switch i % 3 {
				case 0:
					_, err := log.Append(ctx, fmt.Sprint("stream", i), eventlog.NoStream, event(i))
					done <- err
				case 1:
					_, err := readStream(ctx, log, "a")
					done <- err
				default:
					_, err := log.Head(ctx)
					done <- err
				}
			}()
			select {
			case err := <-done:
				if !errors.Is(err, context.DeadlineExceeded) && !errors.Is(err, eventlog.ErrUnavailable) {
					t.Errorf("call %d: %v", i, err)
				}
			case <-time.After(700*time.Millisecond + grace):
				t.Errorf("call %d did not return after its context ended", i)
			}
		})
	}
	calling.Wait()
	require.NoError(t, cluster.Node(0).Start())
	put(t, log, "a", eventlog.NoStream, event("after"))
}

func TestContextEndsSearchForNode(t *testing.T) {
	cluster := start(t, eventstoredbtest.Config{Nodes: 3})
	log := with(t, cluster, eventstoredb.Config{})
	for i := range 3 {
		cluster.Node(i).Kill()
	}
	ctx := within(t, 50*time.Millisecond)
	err := punctual(ctx, t, func() error { _, err := log.Head(ctx); return err })
	require.ErrorIs(t, err, context.DeadlineExceeded)
}

func TestEveryCallRequiresLeader(t *testing.T) {
	cluster := start(t, eventstoredbtest.Config{})
	log := with(t, cluster, eventstoredb.Config{})
	put(t, log, "a", eventlog.NoStream, event("a"))
	readAll(t, log)
	leader, anyNode := cluster.Reads()
	require.Positive(t, leader)
	require.Zero(t, anyNode)

	t.Run("a bare client does not send the option", func(t *testing.T) {
		bare := bareClient(t, cluster.URL(nil))
		read, err := bare.ReadStream(within(t, time.Second), "x", esdb.ReadStreamOptions{RequiresLeader: true}, 1)
		require.NoError(t, err)
		_, _ = read.Recv()
		_, anyNode := cluster.Reads()
		require.Positive(t, anyNode)
	})
}

func TestFormerLeaderIsNotRead(t *testing.T) {
	cluster := start(t, eventstoredbtest.Config{Nodes: 3})
	one, two := with(t, cluster, eventstoredb.Config{}), with(t, cluster, eventstoredb.Config{})
	put(t, one, "a", eventlog.NoStream, event("before"))
	require.Len(t, readAll(t, two), 1)
	cluster.SetLeader(1)
	put(t, one, "a", 0, event("after"))
	require.Len(t, readAll(t, two), 2)
	n, err := readStream(within(t, 10*time.Second), two, "a")
	require.NoError(t, err)
	require.Equal(t, 2, n)
}

func TestURLOfFollowerReachesLeader(t *testing.T) {
	cluster := start(t, eventstoredbtest.Config{Nodes: 2})
	cluster.SetLeader(0)
	log, err := eventstoredb.Open(within(t, 10*time.Second), cluster.URLOf(1), eventstoredb.Config{})
	require.NoError(t, err)
	defer log.Close()
	put(t, log, "a", eventlog.NoStream, event("a"))
	require.Len(t, readAll(t, log), 1)
}

func TestAppendRefusedDuringTransmissionIsSentAgain(t *testing.T) {
	cluster := start(t, eventstoredbtest.Config{})
	log := with(t, cluster, eventstoredb.Config{})
	large := make([]eventlog.Event, 400)
	for i := range large {
		large[i] = event("large", i)
		large[i].Data = json.RawMessage(`{"a":"` + strings.Repeat("x", 1000) + `"}`)
	}
	cluster.Fail(eventstoredbtest.Append, eventstoredbtest.RefuseEarly)
	appended, err := log.Append(within(t, 20*time.Second), "a", eventlog.NoStream, large...)
	if err != nil { // the client received the status, so the append was refused
		require.ErrorContains(t, err, "access denied")
		appended = put(t, log, "a", eventlog.NoStream, large...)
	}
	require.False(t, appended.Repeat)
	require.Len(t, readAll(t, log), len(large))
}

func TestTooLargeAppendIsRefusedBeforeItIsSent(t *testing.T) {
	cluster := start(t, eventstoredbtest.Config{})
	log := with(t, cluster, eventstoredb.Config{})
	huge := events(eventlog.MaxAppendEvents, "a")
	for i := range huge {
		huge[i].Type = strings.Repeat("t", eventlog.MaxNameBytes) // the server counts types twice
	}
	before := cluster.Calls(eventstoredbtest.Append)
	_, err := log.Append(within(t, 10*time.Second), "a", eventlog.NoStream, huge...)
	require.ErrorIs(t, err, eventlog.ErrTooLarge)
	require.ErrorContains(t, err, "bytes including types, causes and checksums; the server accepts at most 1048576")
	require.Equal(t, before, cluster.Calls(eventstoredbtest.Append))
}

func TestLargestAppendOfOrdinaryEventsSucceeds(t *testing.T) {
	cluster := start(t, eventstoredbtest.Config{})
	log := with(t, cluster, eventstoredb.Config{})
	large := events(eventlog.MaxAppendEvents, "a")
	for i := range large {
		large[i].Type, large[i].Command = "deployment.parts-released-to-machines/v1", uuid.New()
		large[i].Data = json.RawMessage(`{"a":"` + strings.Repeat("x",
			eventlog.MaxAppendBytes/eventlog.MaxAppendEvents-8) + `"}`)
		for range eventlog.MaxAppendCauses / eventlog.MaxAppendEvents {
			large[i].Causes = append(large[i].Causes, uuid.New())
		}
	}
	put(t, log, "a", eventlog.NoStream, large...)
	require.Len(t, readAll(t, log), eventlog.MaxAppendEvents)
}

func TestPreReleaseServerIsRefused(t *testing.T) {
	cluster := start(t, eventstoredbtest.Config{Version: "26.2.0-prerelease"})
	_, err := eventstoredb.Open(within(t, 20*time.Second), cluster.URL(nil), eventstoredb.Config{})
	require.ErrorContains(t, err, "the server is a pre-release, whose version the client cannot parse; use a release")
}

func TestOldServerIsRefused(t *testing.T) {
	cluster := start(t, eventstoredbtest.Config{Version: "22.10.4"})
	_, err := eventstoredb.Open(within(t, 20*time.Second), cluster.URL(nil), eventstoredb.Config{})
	require.ErrorIs(t, err, eventlog.ErrForeign)
	require.ErrorContains(t, err, "has version 22.10; use 23.10 or newer")
}

func TestUnknownMessageDoesNotCrashProcess(t *testing.T) {
	cluster := start(t, eventstoredbtest.Config{})
	log := with(t, cluster, eventstoredb.Config{})
	put(t, log, "a", eventlog.NoStream, events(3, "a")...)
	cluster.Fail(eventstoredbtest.Read, eventstoredbtest.SendUnknown, eventstoredbtest.SendUnknown)
	n, err := readStream(within(t, 20*time.Second), log, "a")
	require.NoError(t, err)
	require.Equal(t, 3, n)
	cluster.Fail(eventstoredbtest.Subscribe, eventstoredbtest.SendUnknown)
	require.Len(t, readAll(t, log), 3)
}

func TestKurrentDBClientIsNotADependency(t *testing.T) {
	text, err := os.ReadFile("../../go.mod")
	require.NoError(t, err)
	require.NotContains(t, string(text), "KurrentDB-Client-Go", "a program that links both clients panics at start")
}

func TestAppendWithoutAnswerIsSentAgain(t *testing.T) {
	for name, fault := range map[string]eventstoredbtest.Fault{
		"reply lost after the commit": eventstoredbtest.LoseReply,
		"timed out after the commit":  eventstoredbtest.TimeOut,
		"stalled after the commit":    eventstoredbtest.StallAfter,
		"unavailable":                 eventstoredbtest.Refuse,
		"stalled before the commit":   eventstoredbtest.Stall,
		"not the leader":              eventstoredbtest.NotLeader,
	} {
		t.Run(name, func(t *testing.T) {
			cluster := start(t, eventstoredbtest.Config{})
			log := with(t, cluster, eventstoredb.Config{Timeout: 300 * time.Millisecond})
			put(t, log, "a", eventlog.NoStream, event("first"))
			cluster.Fail(eventstoredbtest.Append, fault, fault)
			before := cluster.Calls(eventstoredbtest.Append)
			appended := put(t, log, "a", 0, events(3, "a")...)
			require.Equal(t, eventlog.Revision(3), appended.Revision)
			require.False(t, appended.Repeat, "this call wrote the events")
			require.Equal(t, 3, cluster.Calls(eventstoredbtest.Append)-before)
			all := readAll(t, log)
			require.Len(t, all, 4)
			require.Equal(t, all[3].Position, appended.Position)
		})
	}
}

func TestAppendWithoutAnyReplyHasUnknownOutcome(t *testing.T) {
	cluster := start(t, eventstoredbtest.Config{})
	log := with(t, cluster, eventstoredb.Config{Timeout: 100 * time.Millisecond})
	lost := make([]eventstoredbtest.Fault, 1000)
	for i := range lost {
		lost[i] = eventstoredbtest.LoseReply
	}
	cluster.Fail(eventstoredbtest.Append, lost...)
	ctx := within(t, 500*time.Millisecond)
	err := punctual(ctx, t, func() error {
		_, err := log.Append(ctx, "a", eventlog.NoStream,
			events(2, "a")...)
		return err
	})
	require.ErrorIs(t, err, eventlog.ErrUnknownOutcome)
	require.ErrorIs(t, err, context.DeadlineExceeded)
	cluster.Heal()
	appended := put(t, log, "a", eventlog.NoStream, events(2, "a")...)
	require.True(t, appended.Repeat)
	require.Len(t, readAll(t, log), 2)
}

func TestAppendThatNeverReachedServerHasKnownOutcome(t *testing.T) {
	cluster := start(t, eventstoredbtest.Config{})
	log := with(t, cluster, eventstoredb.Config{RetryTimeout: time.Second})
	cluster.Node(0).Kill()
	// The first append may use the old connection; the second finds none.
	_, _ = log.Append(within(t, 10*time.Second), "a", eventlog.NoStream, event("a"))
	_, err := log.Append(within(t, 10*time.Second), "a", eventlog.NoStream, event("a"))
	require.ErrorIs(t, err, eventlog.ErrUnavailable)
	require.NotErrorIs(t, err, eventlog.ErrUnknownOutcome)
}

func TestAppendRefusedByAllNodesHasKnownOutcome(t *testing.T) {
	cluster := start(t, eventstoredbtest.Config{})
	log := with(t, cluster, eventstoredb.Config{})
	faults := make([]eventstoredbtest.Fault, 1000)
	for i := range faults {
		faults[i] = eventstoredbtest.NotLeader
	}
	cluster.Fail(eventstoredbtest.Append, faults...)
	ctx := within(t, 300*time.Millisecond)
	err := punctual(ctx, t, func() error { _, err := log.Append(ctx, "a", eventlog.NoStream, event("a")); return err })
	require.ErrorIs(t, err, eventlog.ErrUnavailable)
	require.NotErrorIs(t, err, eventlog.ErrUnknownOutcome)
}

func TestAppendIsRetriedWhenStreamReachesExpectedRevision(t *testing.T) {
	cluster := start(t, eventstoredbtest.Config{})
	log := with(t, cluster, eventstoredb.Config{})
	put(t, log, "a", eventlog.NoStream, event("a"))
	cluster.Fail(eventstoredbtest.Append, eventstoredbtest.ReportConflict)
	put(t, log, "a", 0, event("b"))
}

func TestCheckpointBeforeEventDoesNotHideIt(t *testing.T) {
	cluster := start(t, eventstoredbtest.Config{})
	log := with(t, cluster, eventstoredb.Config{})
	for cluster.Records() < 4096 {
		cluster.Fill("orders", 1)
	}
	require.Equal(t, 4096, cluster.Records(), "the next event must be the first after a checkpoint")
	put(t, log, "a", eventlog.NoStream, event("a"))
	require.Len(t, readAll(t, log), 1)
	cluster.Fail(eventstoredbtest.Subscribe, eventstoredbtest.BreakAtCheckpoint)
	require.Len(t, readAll(t, log), 1, "a read that broke at the checkpoint must continue with the event")
}

func TestReadEndsWhileOthersWriteFasterThanItReads(t *testing.T) {
	cluster := start(t, eventstoredbtest.Config{})
	log := with(t, cluster, eventstoredb.Config{})
	const batch, batches = 500, 8 // more than the buffers between server and reader hold
	for i := range batches {
		put(t, log, "a", eventlog.Revision(i*batch-1), events(batch, "a", i)...)
	}
	cluster.Fill("orders", 1) // so that the last event of $all is not one of the log
	read, written := 0, 0
	for _, err := range log.ReadAll(within(t, 20*time.Second), 0, 0) {
		require.NoError(t, err)
		if read++; read%(batch/2) == 1 {
			put(t, log, "b", eventlog.Revision(written-1), events(batch, "b", written)...)
			written += batch
		}
	}
	require.Equal(t, batch*batches, read)
}

func TestAppendsContinueWhenLeaderHangs(t *testing.T) {
	cluster := start(t, eventstoredbtest.Config{Nodes: 3})
	log, err := eventstoredb.Open(within(t, 10*time.Second), cluster.URL(nil, "gossipTimeout=1"),
		eventstoredb.Config{Timeout: 300 * time.Millisecond})
	require.NoError(t, err)
	defer log.Close()
	put(t, log, "a", eventlog.NoStream, event(0))
	cluster.Node(0).Freeze()
	defer cluster.Node(0).Thaw()
	cluster.SetLeader(1)
	put(t, log, "a", 0, event(1))
	require.Len(t, readAll(t, log), 2)
}

func TestReadContinuesAfterBrokenConnection(t *testing.T) {
	cluster := start(t, eventstoredbtest.Config{})
	log := with(t, cluster, eventstoredb.Config{Timeout: 300 * time.Millisecond})
	put(t, log, "a", eventlog.NoStream, events(40, "a")...)
	for name, fault := range map[string]eventstoredbtest.Fault{
		"broken":         eventstoredbtest.Break,
		"unavailable":    eventstoredbtest.Refuse,
		"stalled":        eventstoredbtest.Stall,
		"not the leader": eventstoredbtest.NotLeader,
	} {
		t.Run(name, func(t *testing.T) {
			cluster.Fail(eventstoredbtest.Subscribe, fault, fault)
			all := readAll(t, log)
			require.Len(t, all, 40)
			for i, recorded := range all {
				require.Equal(t, eventlog.Revision(i), recorded.Revision)
			}
			cluster.Fail(eventstoredbtest.Read, fault, fault)
			n, err := readStream(within(t, 20*time.Second), log, "a")
			require.NoError(t, err)
			require.Equal(t, 40, n)
		})
	}
}

func TestStalledReadEndsWithItsContext(t *testing.T) {
	cluster := start(t, eventstoredbtest.Config{})
	log := with(t, cluster, eventstoredb.Config{})
	put(t, log, "a", eventlog.NoStream, event("a"))
	cluster.Fail(eventstoredbtest.Read, eventstoredbtest.Stall)
	ctx := within(t, 100*time.Millisecond)
	err := punctual(ctx, t, func() error { _, err := readStream(ctx, log, "a"); return err })
	require.ErrorIs(t, err, context.DeadlineExceeded)
}

func TestAppendsContinueWhenServerSendsGoAway(t *testing.T) {
	cluster := start(t, eventstoredbtest.Config{})
	log := with(t, cluster, eventstoredb.Config{})
	for i := range 30 {
		if i%10 == 5 {
			require.NoError(t, cluster.Node(0).GoAway())
		}
		put(t, log, "a", eventlog.Revision(i-1), event(i))
	}
	require.Len(t, readAll(t, log), 30)
}

func TestAppendsContinueWhenServerIsKilledAndRestarted(t *testing.T) {
	cluster := start(t, eventstoredbtest.Config{})
	log := with(t, cluster, eventstoredb.Config{})
	const n = 300
	acknowledged := make(chan int, n)
	go func() {
		defer close(acknowledged)
		for i := range n {
			if _, err := log.Append(within(t, 20*time.Second), "a", eventlog.Revision(i-1), event(i)); err != nil {
				t.Errorf("append %d: %v", i, err)
				return
			}
			acknowledged <- i
		}
	}()
	for i := range acknowledged {
		if i%50 == 20 {
			cluster.Node(0).Kill()
			require.NoError(t, cluster.Node(0).Start())
		}
	}
	all := readAll(t, log)
	require.Len(t, all, n)
	for i, recorded := range all {
		require.Equal(t, event(i).ID, recorded.ID)
	}
}

func TestAppendsContinueWhenLeaderDies(t *testing.T) {
	cluster := start(t, eventstoredbtest.Config{Nodes: 3})
	log := with(t, cluster, eventstoredb.Config{})
	put(t, log, "a", eventlog.NoStream, event(0))
	cluster.Node(0).Kill()
	cluster.SetLeader(2)
	put(t, log, "a", 0, event(1))
	cluster.SetLeader(1)
	put(t, log, "a", 1, event(2))
	require.Len(t, readAll(t, log), 3)
}

// goroutines returns the stacks of the goroutines of the client, its transport and this package, by goroutine
// number.
func goroutines() map[string]string {
	stacks := make([]byte, 4<<20)
	all := map[string]string{}
	for _, stack := range strings.Split(string(stacks[:runtime.Stack(stacks, true)]), "\n\n") {
		number, _, _ := strings.Cut(stack, " [")
		if strings.Contains(stack, "/esdb.") || strings.Contains(stack, "grpc") ||
			strings.Contains(stack, "eventstoredb.") {
			all[number] = stack
		}
	}
	return all
}

// requireNoneSince waits until all goroutines that are not in before have ended.
func requireNoneSince(t *testing.T, before map[string]string) {
	t.Helper()
	left := func() []string {
		now := goroutines()
		maps.DeleteFunc(now, func(number, _ string) bool { return before[number] != "" })
		return slices.Collect(maps.Values(now))
	}
	if !assert.Eventually(t, func() bool { return len(left()) == 0 }, 30*time.Second, 20*time.Millisecond) {
		t.Fatal(strings.Join(left(), "\n\n"))
	}
}

func TestClosedLogLeaksNoGoroutine(t *testing.T) {
	before := goroutines()
	cluster, err := eventstoredbtest.Start(eventstoredbtest.Config{Nodes: 3})
	require.NoError(t, err)
	log, err := eventstoredb.Open(within(t, 10*time.Second), cluster.URL(nil),
		eventstoredb.Config{Timeout: 100 * time.Millisecond})
	require.NoError(t, err)
	put(t, log, "a", eventlog.NoStream, events(100, "a")...)
	for _, fault := range []eventstoredbtest.Fault{
		eventstoredbtest.LoseReply, eventstoredbtest.Stall, eventstoredbtest.NotLeader, eventstoredbtest.Refuse,
		eventstoredbtest.StallAfter,
	} {
		cluster.Fail(eventstoredbtest.Append, fault)
		cluster.Fail(eventstoredbtest.Subscribe, fault)
		put(t, log, fmt.Sprint("stream", fault), eventlog.NoStream, event(fault))
		readAll(t, log)
	}
	for range log.ReadAll(within(t, time.Second), 0, 0) {
		break
	}
	cluster.Node(0).Kill()
	cluster.SetLeader(1)
	put(t, log, "a", 99, event("after"))
	cluster.Node(1).Kill()
	cluster.Node(2).Kill()
	var calling sync.WaitGroup
	for i := range 8 {
		calling.Go(func() { _, _ = log.Append(within(t, 300*time.Millisecond), "b", eventlog.NoStream, event(i)) })
	}
	calling.Wait()
	require.NoError(t, log.Close())
	cluster.Stop()
	requireNoneSince(t, before)
}
