package eventstoredb_test

import (
	"context"
	"encoding/json"
	"testing"
	"time"

	"github.com/EventStore/EventStore-Client-Go/v4/esdb"
	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/droverhq/drover/eventlog"
	"github.com/droverhq/drover/eventlog/eventstoredb"
	"github.com/droverhq/drover/eventlog/eventstoredb/eventstoredbtest"
)

func cursor(sequence int64, text string) eventlog.Item {
	return eventlog.Item{Key: "k", Sequence: sequence, Time: time.Unix(1_800_000_000, 0).UTC(), Data: []byte(text)}
}

func cursors(t *testing.T, log eventlog.Store) map[string]eventlog.Item {
	t.Helper()
	found, err := log.Newest(within(t, 10*time.Second), eventlog.Cursors)
	require.NoError(t, err)
	return found
}

// raw returns a client like that of another application.
func raw(t *testing.T, cluster *eventstoredbtest.Cluster) *esdb.Client {
	settings, err := esdb.ParseConnectionString(cluster.URL(nil))
	require.NoError(t, err)
	settings.Logger = esdb.NoopLogging()
	client, err := esdb.NewClient(settings)
	require.NoError(t, err)
	t.Cleanup(func() { _ = client.Close() })
	return client
}

func appendRaw(t *testing.T, client *esdb.Client, stream, kind, data, metadata string) {
	t.Helper()
	event := esdb.EventData{EventID: uuid.New(), EventType: kind, Data: []byte(data), Metadata: []byte(metadata)}
	_, err := client.AppendToStream(within(t, 10*time.Second), stream,
		esdb.AppendToStreamOptions{ExpectedRevision: esdb.Any{}}, event)
	require.NoError(t, err)
}

// kinds returns the types and the data of a stream's events.
func kinds(t *testing.T, client *esdb.Client, stream string) (all [][2]string) {
	t.Helper()
	read, err := client.ReadStream(within(t, 10*time.Second), stream, esdb.ReadStreamOptions{From: esdb.Start{}}, 100)
	require.NoError(t, err)
	defer read.Close()
	for {
		resolved, err := read.Recv()
		if err != nil {
			return all
		}
		all = append(all, [2]string{resolved.Event.EventType, string(resolved.Event.Data)})
	}
}

func TestSwapSurvivesLostRepliesAndHappensOnce(t *testing.T) {
	cluster := start(t, eventstoredbtest.Config{})
	log := with(t, cluster, eventstoredb.Config{})
	ctx := within(t, 30*time.Second)
	for sequence := range int64(3) {
		cluster.Fail(eventstoredbtest.Append, eventstoredbtest.LoseReply, eventstoredbtest.Refuse,
			eventstoredbtest.TimeOut)
		require.NoError(t, log.Swap(ctx, eventlog.Cursors, cursor(sequence+1, "x"), sequence))
		cluster.Heal()
	}
	require.Equal(t, map[string]eventlog.Item{"k": cursor(3, "x")}, cursors(t, log))
	require.NoError(t, log.Swap(ctx, eventlog.Cursors, cursor(4, "x"), 3))
	cluster.Fail(eventstoredbtest.Append, eventstoredbtest.LoseReply)
	require.NoError(t, log.Drop(ctx, eventlog.Cursors, "k"))
	require.Empty(t, cursors(t, log))
}

func TestRepeatedSwapResolvesUnknownOutcome(t *testing.T) {
	cluster := start(t, eventstoredbtest.Config{})
	log := with(t, cluster, eventstoredb.Config{})
	require.NoError(t, log.Put(within(t, 10*time.Second), eventlog.Cursors, cursor(1, "first")))
	for _, fault := range []eventstoredbtest.Fault{eventstoredbtest.Stall, eventstoredbtest.StallAfter} {
		current := cursors(t, log)["k"].Sequence
		cluster.Fail(eventstoredbtest.Append, fault)
		err := log.Swap(within(t, 300*time.Millisecond), eventlog.Cursors, cursor(current+1, "mine"), current)
		require.ErrorIs(t, err, eventlog.ErrUnknownOutcome)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		cluster.Heal()
		require.NoError(t, log.Swap(within(t, 10*time.Second), eventlog.Cursors, cursor(current+1, "mine"), current))
		require.Equal(t, cursor(current+1, "mine"), cursors(t, log)["k"])
	}
}

// TestProcessDyingBetweenTwoWritesLeavesConsistentState makes the second or third write of a change fail
// permanently.
func TestProcessDyingBetweenTwoWritesLeavesConsistentState(t *testing.T) {
	cluster := start(t, eventstoredbtest.Config{})
	dying, log := with(t, cluster, eventstoredb.Config{}), with(t, cluster, eventstoredb.Config{})
	for ok := range 3 { // the directory, the metadata of the stream, the item
		cluster.Fail(eventstoredbtest.Append, append(make([]eventstoredbtest.Fault, ok), eventstoredbtest.Stall)...)
		require.Error(t, dying.Put(within(t, 300*time.Millisecond), eventlog.Cursors, cursor(1, "x")))
		cluster.Heal()
		require.Empty(t, cursors(t, log))
	}
	require.NoError(t, log.Swap(within(t, 10*time.Second), eventlog.Cursors, cursor(1, "x"), 0))
	// Writes the tombstone but not the line in the directory.
	cluster.Fail(eventstoredbtest.Append, 0, eventstoredbtest.Stall)
	require.Error(t, dying.Drop(within(t, 300*time.Millisecond), eventlog.Cursors, "k"))
	cluster.Heal()
	require.Empty(t, cursors(t, log))
	require.NoError(t, log.Drop(within(t, 10*time.Second), eventlog.Cursors, "k"))
	require.NoError(t, log.Swap(within(t, 10*time.Second), eventlog.Cursors, cursor(1, "again"), 0))

	// The drop's line is written after the key is in use again, as by a process that was suspended before the
	// write.
	late, err := json.Marshal(map[string]any{"key": "k", "revision": 1})
	require.NoError(t, err)
	appendRaw(t, raw(t, cluster), "drover-items.default.cursors", "item.dropped/v1", string(late), "")
	require.Equal(t, map[string]eventlog.Item{"k": cursor(1, "again")}, cursors(t, log))
}

func TestItemsAreFoundInRestoredCluster(t *testing.T) {
	cluster := start(t, eventstoredbtest.Config{})
	log := with(t, cluster, eventstoredb.Config{})
	ctx := within(t, 20*time.Second)
	require.NoError(t, log.Put(ctx, eventlog.Cursors, cursor(1, "x")))
	backup := cluster.Records()
	other := cursor(1, "x")
	other.Key = "other"
	require.NoError(t, log.Put(ctx, eventlog.Cursors, other))
	require.Len(t, cursors(t, log), 2)
	cluster.Restore(backup)
	require.Equal(t, map[string]eventlog.Item{"k": cursor(1, "x")}, cursors(t, log))
	require.NoError(t, log.Swap(ctx, eventlog.Cursors, other, 0))
	require.Len(t, cursors(t, log), 2)
}

func TestReplacedAndDroppedItemsAreHidden(t *testing.T) {
	cluster := start(t, eventstoredbtest.Config{})
	log, client := with(t, cluster, eventstoredb.Config{}), raw(t, cluster)
	ctx := within(t, 20*time.Second)
	require.NoError(t, log.Put(ctx, eventlog.Cursors, cursor(1, "one")))
	require.NoError(t, log.Put(ctx, eventlog.Cursors, cursor(2, "two")))
	require.Equal(t, [][2]string{{"item.put/v1", "two"}}, kinds(t, client, "drover-item.default.cursors.k"))
	require.NoError(t, log.Drop(ctx, eventlog.Cursors, "k"))
	require.Equal(t, [][2]string{{"item.dropped/v1", ""}}, kinds(t, client, "drover-item.default.cursors.k"))
}

func TestLeasesAndOutputKeepLayoutOfPreviousVersion(t *testing.T) {
	cluster := start(t, eventstoredbtest.Config{})
	log, client := with(t, cluster, eventstoredb.Config{}), raw(t, cluster)
	ctx, one, before, deployment := within(t, 20*time.Second), uuid.New(), uuid.New(), uuid.New()
	require.NoError(t, log.Put(ctx, eventlog.Leases, eventlog.Lease(one, []byte("new"))))
	require.Equal(t, [][2]string{{"lease.put/v1", one.String()}}, kinds(t, client, "drover-leases.default"))
	require.Equal(t, [][2]string{{"lease.put/v1", "new"}}, kinds(t, client, "drover-lease.default."+one.String()))
	chunk := eventlog.Item{Key: eventlog.OutputKey(deployment, "a/b"), Sequence: 1,
		Time: time.Unix(1_800_000_000, 0).UTC(), Data: []byte("line")}
	require.NoError(t, log.Add(ctx, eventlog.Output, chunk))
	line := `{"deployment":"` + deployment.String() + `","machine":"a/b","time":"2027-01-15T08:00:00Z"}`
	require.Equal(t, [][2]string{{"output.entered/v1", line}}, kinds(t, client, "drover-outputs.default"))
	output := "drover-output.default." + deployment.String() + ".a/b"
	require.Equal(t, [][2]string{{"output.chunk/v1", "line"}}, kinds(t, client, output))

	appendRaw(t, client, "drover-leases.default", "lease.put/v1", before.String(), "")
	appendRaw(t, client, "drover-lease.default."+before.String(), "lease.put/v1", "old", "")
	appendRaw(t, client, output, "output.chunk/v1", "old", `{"sequence":2,"time":"2027-01-15T08:00:00Z"}`)
	leases, err := eventlog.ReadLeases(ctx, log)
	require.NoError(t, err)
	require.Equal(t, map[uuid.UUID][]byte{one: []byte("new"), before: []byte("old")}, leases)
	second := chunk
	second.Sequence, second.Data = 2, []byte("old")
	var all []eventlog.Item
	for item, err := range log.Items(ctx, eventlog.Output, chunk.Key, 0, 0) {
		require.NoError(t, err)
		all = append(all, item)
	}
	require.Equal(t, []eventlog.Item{chunk, second}, all)
}
