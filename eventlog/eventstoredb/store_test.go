package eventstoredb_test

import (
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/droverhq/drover/eventlog"
	"github.com/droverhq/drover/eventlog/eventstoredb"
	"github.com/droverhq/drover/eventlog/eventstoredb/eventstoredbtest"
)

func TestNextPutRestoresLeaseDroppedByAnotherServer(t *testing.T) {
	cluster := start(t, eventstoredbtest.Config{})
	one, two := with(t, cluster, eventstoredb.Config{}), with(t, cluster, eventstoredb.Config{})
	ctx, server := within(t, 10*time.Second), uuid.New()
	require.NoError(t, one.Put(ctx, eventlog.Leases, eventlog.Lease(server, []byte("1"))))
	require.NoError(t, two.Drop(ctx, eventlog.Leases, server.String()))
	leases, err := eventlog.ReadLeases(ctx, one)
	require.NoError(t, err)
	require.Empty(t, leases)
	require.NoError(t, one.Put(ctx, eventlog.Leases, eventlog.Lease(server, []byte("2"))))
	for _, log := range []*eventstoredb.Log{one, two, with(t, cluster, eventstoredb.Config{})} {
		leases, err = eventlog.ReadLeases(ctx, log)
		require.NoError(t, err)
		require.Equal(t, map[uuid.UUID][]byte{server: []byte("2")}, leases)
	}
}

func TestRenewingLeaseCostsOneAppend(t *testing.T) {
	cluster := start(t, eventstoredbtest.Config{})
	log := with(t, cluster, eventstoredb.Config{})
	ctx, server := within(t, 10*time.Second), uuid.New()
	require.NoError(t, log.Put(ctx, eventlog.Leases, eventlog.Lease(server, []byte("1"))))
	appends, reads := cluster.Calls(eventstoredbtest.Append), cluster.Calls(eventstoredbtest.Read)
	for range 10 {
		require.NoError(t, log.Put(ctx, eventlog.Leases, eventlog.Lease(server, []byte("again"))))
	}
	require.Equal(t, 10, cluster.Calls(eventstoredbtest.Append)-appends)
	require.Equal(t, reads, cluster.Calls(eventstoredbtest.Read))
}

func TestLeasesAndOutputSurviveLostReplies(t *testing.T) {
	cluster := start(t, eventstoredbtest.Config{})
	log := with(t, cluster, eventstoredb.Config{})
	ctx, server := within(t, 20*time.Second), uuid.New()
	require.NoError(t, log.Put(ctx, eventlog.Leases, eventlog.Lease(server, []byte("1"))))
	cluster.Fail(eventstoredbtest.Append, eventstoredbtest.LoseReply, eventstoredbtest.Refuse)
	require.NoError(t, log.Put(ctx, eventlog.Leases, eventlog.Lease(server, []byte("2"))))
	cluster.Fail(eventstoredbtest.Append, eventstoredbtest.LoseReply)
	for sequence := range int64(5) {
		require.NoError(t, log.Add(ctx, eventlog.Output,
			eventlog.Item{Key: eventlog.OutputKey(server, "m"), Sequence: sequence + 1, Time: time.Now(),
				Data: []byte("x")}))
	}
	leases, err := eventlog.ReadLeases(ctx, log)
	require.NoError(t, err)
	require.Equal(t, []byte("2"), leases[server])
	n := 0
	for _, err := range log.Items(ctx, eventlog.Output, eventlog.OutputKey(server, "m"), 0, 0) {
		require.NoError(t, err)
		n++
	}
	require.Equal(t, 5, n)
}

func TestChunkStoredTwiceIsReadOnce(t *testing.T) {
	cluster := start(t, eventstoredbtest.Config{})
	log := with(t, cluster, eventstoredb.Config{})
	ctx, deployment := within(t, 10*time.Second), uuid.New()
	for _, text := range []string{"first", "again"} {
		require.NoError(t, log.Add(ctx, eventlog.Output,
			eventlog.Item{Key: eventlog.OutputKey(deployment, "m"), Sequence: 1, Time: time.Now(), Data: []byte(text)}))
		cluster.ForgetIDs()
	}
	var got []string
	for chunk, err := range log.Items(ctx, eventlog.Output, eventlog.OutputKey(deployment, "m"), 0, 0) {
		require.NoError(t, err)
		got = append(got, string(chunk.Data))
	}
	require.Equal(t, []string{"first"}, got)
	pruned, err := log.Prune(ctx, eventlog.Output, time.Now().Add(time.Hour))
	require.NoError(t, err)
	require.Equal(t, 1, pruned)
}

func TestFollowerOfOutputReadsOnlyNewChunks(t *testing.T) {
	cluster := start(t, eventstoredbtest.Config{})
	log := with(t, cluster, eventstoredb.Config{})
	ctx, deployment := within(t, 20*time.Second), uuid.New()
	chunk := func(sequence int64) {
		require.NoError(t, log.Add(ctx, eventlog.Output,
			eventlog.Item{Key: eventlog.OutputKey(deployment, "m"), Sequence: sequence, Time: time.Now()}))
	}
	after := int64(0)
	follow := func() (got []int64) {
		for chunk, err := range log.Items(ctx, eventlog.Output, eventlog.OutputKey(deployment, "m"), after, 32) {
			require.NoError(t, err)
			after = chunk.Sequence
			got = append(got, after)
		}
		return got
	}
	for sequence := range int64(100) {
		chunk(sequence + 1)
	}
	require.Len(t, follow(), 32)
	require.Len(t, follow(), 32)
	require.Len(t, follow(), 32)
	require.Equal(t, []int64{97, 98, 99, 100}, follow())
	require.Empty(t, follow())
	chunk(102) // arrives before 101
	chunk(101)
	require.Equal(t, []int64{101, 102}, follow())
	chunk(103)
	require.Equal(t, []int64{103}, follow())
	require.Empty(t, follow())
}
