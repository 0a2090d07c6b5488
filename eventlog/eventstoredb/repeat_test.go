package eventstoredb_test

import (
	"testing"
	"time"

	"github.com/EventStore/EventStore-Client-Go/v4/esdb"
	"github.com/stretchr/testify/require"

	"github.com/droverhq/drover/eventlog"
	"github.com/droverhq/drover/eventlog/eventstoredb"
	"github.com/droverhq/drover/eventlog/eventstoredb/eventstoredbtest"
)

// otherStream is a stream that the test log does not contain.
const otherStream = "orders"

// useIDs appends events with the ids of others to another stream, so that the server knows the ids from there.
func useIDs(t testing.TB, cluster *eventstoredbtest.Cluster, others ...eventlog.Event) {
	t.Helper()
	proposed := make([]esdb.EventData, len(others))
	for i, e := range others {
		proposed[i] = esdb.EventData{EventID: e.ID, EventType: "x", ContentType: esdb.ContentTypeJson, Data: []byte(`{}`)}
	}
	_, err := bareClient(t, cluster.URL(nil)).AppendToStream(within(t, 10*time.Second), otherStream,
		esdb.AppendToStreamOptions{ExpectedRevision: esdb.Any{}}, proposed...)
	require.NoError(t, err)
}

func TestRefusedRepeatOfOwnAppendSucceeds(t *testing.T) {
	cluster := start(t, eventstoredbtest.Config{})
	log := with(t, cluster, eventstoredb.Config{})
	useIDs(t, cluster, events(3, "a")...)
	cluster.HoldIndex()
	cluster.Fail(eventstoredbtest.Append, eventstoredbtest.LoseReply, eventstoredbtest.IndexAfter)
	appended := put(t, log, "a", eventlog.NoStream, events(3, "a")...)
	require.Equal(t, eventlog.Revision(2), appended.Revision)
	require.False(t, appended.Repeat, "this call wrote the events")
	all := readAll(t, log)
	require.Len(t, all, 3)
	require.Equal(t, all[2].Position, appended.Position)
}

func TestRefusedRepeatOfStoredAppendReturnsFirstResult(t *testing.T) {
	cluster := start(t, eventstoredbtest.Config{})
	log := with(t, cluster, eventstoredb.Config{})
	first := put(t, log, "a", eventlog.NoStream, events(3, "a")...)
	put(t, log, "a", 2, events(300, "later")...)
	cluster.Fail(eventstoredbtest.Append, eventstoredbtest.ReportConflict)
	again := put(t, log, "a", eventlog.NoStream, events(3, "a")...)
	first.Repeat = true
	require.Equal(t, first, again)

	for name, other := range map[string][]eventlog.Event{
		"another event":        {event("a", 0), event("x"), event("a", 2)},
		"only the first event": {event("a", 0), event("a", 1), event("a", 2), event("a", 3)},
	} {
		cluster.Fail(eventstoredbtest.Append, eventstoredbtest.ReportConflict)
		_, err := log.Append(within(t, 20*time.Second), "a", eventlog.NoStream, other...)
		var conflict *eventlog.Conflict
		require.ErrorAs(t, err, &conflict, name)
		require.Equal(t, eventlog.Conflict{Stream: "a", Expected: eventlog.NoStream, Actual: 302}, *conflict, name)
	}
}

func TestDroppedRepeatIsSentAgainUntilItsAppendIsIndexed(t *testing.T) {
	cluster := start(t, eventstoredbtest.Config{CommitTimeout: 50 * time.Millisecond})
	log := with(t, cluster, eventstoredb.Config{})
	cluster.HoldIndex()
	cluster.Fail(eventstoredbtest.Append, eventstoredbtest.LoseReply, 0, eventstoredbtest.IndexAfter)
	before := cluster.Calls(eventstoredbtest.Append)
	appended := put(t, log, "a", eventlog.NoStream, events(3, "a")...)
	require.Equal(t, eventlog.Revision(2), appended.Revision)
	require.False(t, appended.Repeat, "this call wrote the events")
	require.Equal(t, 4, cluster.Calls(eventstoredbtest.Append)-before, "the repeats before indexing are dropped")
	require.Len(t, readAll(t, log), 3)
}

func TestAppendWithoutReplyAndFailedReadBackHasUnknownOutcome(t *testing.T) {
	cluster := start(t, eventstoredbtest.Config{})
	log := with(t, cluster, eventstoredb.Config{RetryTimeout: time.Second, Timeout: 100 * time.Millisecond})
	cluster.Fail(eventstoredbtest.Append, eventstoredbtest.TimeOut, eventstoredbtest.ReportConflict)
	stalled := make([]eventstoredbtest.Fault, 100)
	for i := range stalled {
		stalled[i] = eventstoredbtest.Stall
	}
	cluster.Fail(eventstoredbtest.Read, stalled...)
	_, err := log.Append(within(t, 20*time.Second), "a", eventlog.NoStream, events(3, "a")...)
	require.ErrorIs(t, err, eventlog.ErrUnknownOutcome)
}
