package eventstoredbtest_test

import (
	"context"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/EventStore/EventStore-Client-Go/v4/esdb"
	"github.com/EventStore/EventStore-Client-Go/v4/protos/shared"
	"github.com/EventStore/EventStore-Client-Go/v4/protos/streams"
	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/droverhq/drover/eventlog/eventstoredb/eventstoredbtest"
)

// These tests check that the test server refuses what the real server refuses. Tests against a server that accepts
// everything would prove nothing.

func cluster(t *testing.T, config eventstoredbtest.Config) *eventstoredbtest.Cluster {
	t.Helper()
	started, err := eventstoredbtest.Start(config)
	require.NoError(t, err)
	t.Cleanup(started.Stop)
	return started
}

func client(t *testing.T, url string) *esdb.Client {
	t.Helper()
	configuration, err := esdb.ParseConnectionString(url)
	require.NoError(t, err)
	configuration.Logger = esdb.NoopLogging()
	c, err := esdb.NewClient(configuration)
	require.NoError(t, err)
	t.Cleanup(func() { _ = c.Close() })
	return c
}

func soon(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	t.Cleanup(cancel)
	return ctx
}

func data(ids ...uuid.UUID) []esdb.EventData {
	all := make([]esdb.EventData, len(ids))
	for i, id := range ids {
		all[i] = esdb.EventData{EventID: id, EventType: "x", ContentType: esdb.ContentTypeJson, Data: []byte(`{}`)}
	}
	return all
}

func code(t *testing.T, err error) esdb.ErrorCode {
	t.Helper()
	var named *esdb.Error
	require.ErrorAs(t, err, &named)
	return named.Code()
}

func TestAppendRefusesWrongRevisionAndConfirmsRepeat(t *testing.T) {
	c := client(t, cluster(t, eventstoredbtest.Config{}).URL(nil))
	one, two, three := uuid.New(), uuid.New(), uuid.New()
	at := func(expected esdb.ExpectedRevision, ids ...uuid.UUID) (*esdb.WriteResult, error) {
		return c.AppendToStream(soon(t), "s", esdb.AppendToStreamOptions{ExpectedRevision: expected}, data(ids...)...)
	}
	_, err := at(esdb.Revision(0), one)
	require.Equal(t, esdb.ErrorCodeWrongExpectedVersion, code(t, err), "beyond the end")
	_, err = at(esdb.StreamExists{}, one)
	require.Equal(t, esdb.ErrorCodeWrongExpectedVersion, code(t, err), "no stream")
	first, err := at(esdb.NoStream{}, one, two)
	require.NoError(t, err)
	require.Equal(t, uint64(1), first.NextExpectedVersion)
	again, err := at(esdb.NoStream{}, one, two)
	require.NoError(t, err)
	require.Equal(t, first, again)
	for name, ids := range map[string][]uuid.UUID{"another id": {three}, "only the first": {one, two, three},
		"another order": {two, one}} {
		_, err = at(esdb.NoStream{}, ids...)
		require.Equal(t, esdb.ErrorCodeWrongExpectedVersion, code(t, err), name)
		require.ErrorContains(t, err, "expecting 'no_stream' but got '1'")
	}
	repeated, err := at(esdb.Any{}, two)
	require.NoError(t, err)
	require.Equal(t, uint64(1), repeated.NextExpectedVersion)
}

// TestRepeatOfUnindexedAppendIsDroppedOrRefused checks both answers of the real server to a repeat that arrives before
// the first append is indexed.
func TestRepeatOfUnindexedAppendIsDroppedOrRefused(t *testing.T) {
	for name, elsewhere := range map[string]bool{"new ids": false, "ids of another stream": true} {
		t.Run(name, func(t *testing.T) {
			started := cluster(t, eventstoredbtest.Config{CommitTimeout: 50 * time.Millisecond})
			c, ids := client(t, started.URL(nil)), []uuid.UUID{uuid.New(), uuid.New()}
			put := func(stream string) error {
				_, err := c.AppendToStream(soon(t), stream,
					esdb.AppendToStreamOptions{ExpectedRevision: esdb.NoStream{}}, data(ids...)...)
				return err
			}
			if elsewhere {
				require.NoError(t, put("other"))
			}
			started.HoldIndex()
			require.ErrorContains(t, put("s"), "Operation timed out: Commit phase timeout.")
			read, err := c.ReadStream(soon(t), "s", esdb.ReadStreamOptions{}, 1)
			require.NoError(t, err)
			_, err = read.Recv()
			require.Equal(t, esdb.ErrorCodeResourceNotFound, code(t, err), "an event that is not indexed")

			repeat := put("s")
			if elsewhere {
				require.Equal(t, esdb.ErrorCodeWrongExpectedVersion, code(t, repeat))
				require.ErrorContains(t, repeat, "expecting 'no_stream' but got '1'")
			} else {
				require.ErrorContains(t, repeat, "Operation timed out: Commit phase timeout.")
			}
			started.ReleaseIndex()
			require.NoError(t, put("s"))
		})
	}
}

func TestStreamDoesNotExistBeforeItsFirstEvent(t *testing.T) {
	c := client(t, cluster(t, eventstoredbtest.Config{}).URL(nil))
	read, err := c.ReadStream(soon(t), "nobody", esdb.ReadStreamOptions{}, 1)
	require.NoError(t, err)
	_, err = read.Recv()
	require.Equal(t, esdb.ErrorCodeResourceNotFound, code(t, err))
}

func TestStreamMetadataHidesEvents(t *testing.T) {
	c := client(t, cluster(t, eventstoredbtest.Config{}).URL(nil))
	_, err := c.AppendToStream(soon(t), "s", esdb.AppendToStreamOptions{}, data(uuid.New(), uuid.New(), uuid.New())...)
	require.NoError(t, err)
	revisions := func() (all []uint64) {
		read, err := c.ReadStream(soon(t), "s", esdb.ReadStreamOptions{}, 10)
		require.NoError(t, err)
		for {
			event, err := read.Recv()
			if errors.Is(err, io.EOF) {
				return all
			}
			require.NoError(t, err)
			all = append(all, event.OriginalEvent().EventNumber)
		}
	}
	var limits esdb.StreamMetadata
	limits.SetMaxCount(2)
	_, err = c.SetStreamMetadata(soon(t), "s", esdb.AppendToStreamOptions{}, limits)
	require.NoError(t, err)
	require.Equal(t, []uint64{1, 2}, revisions())
	limits.SetTruncateBefore(2)
	_, err = c.SetStreamMetadata(soon(t), "s", esdb.AppendToStreamOptions{}, limits)
	require.NoError(t, err)
	require.Equal(t, []uint64{2}, revisions())
}

func TestReadRefusesPositionBetweenEvents(t *testing.T) {
	c := client(t, cluster(t, eventstoredbtest.Config{}).URL(nil))
	written, err := c.AppendToStream(soon(t), "s", esdb.AppendToStreamOptions{}, data(uuid.New())...)
	require.NoError(t, err)
	read, err := c.ReadAll(soon(t), esdb.ReadAllOptions{From: esdb.Position{Commit: written.CommitPosition - 1,
		Prepare: written.CommitPosition - 1}}, 1)
	require.NoError(t, err)
	_, err = read.Recv()
	require.ErrorContains(t, err, "Trying to read from an invalid position.")
}

func TestSubscriptionCatchesUpAndContinuesLive(t *testing.T) {
	c := client(t, cluster(t, eventstoredbtest.Config{}).URL(nil))
	add := func(stream string) {
		_, err := c.AppendToStream(soon(t), stream, esdb.AppendToStreamOptions{}, data(uuid.New())...)
		require.NoError(t, err)
	}
	add("mine-1")
	add("other")
	subscription, err := c.SubscribeToAll(soon(t), esdb.SubscribeToAllOptions{From: esdb.Start{},
		Filter: &esdb.SubscriptionFilter{Type: esdb.StreamFilterType, Prefixes: []string{"mine-"}}})
	require.NoError(t, err)
	defer subscription.Close()
	require.Equal(t, "mine-1", subscription.Recv().EventAppeared.OriginalEvent().StreamID)
	require.NotNil(t, subscription.Recv().CheckPointReached)
	require.NotNil(t, subscription.Recv().CaughtUp)
	add("mine-2")
	for {
		if next := subscription.Recv(); next.EventAppeared != nil {
			require.Equal(t, "mine-2", next.EventAppeared.OriginalEvent().StreamID)
			return
		}
	}
}

func TestSystemEventsAppearBetweenOthers(t *testing.T) {
	c := client(t, cluster(t, eventstoredbtest.Config{}).URL(nil))
	for range 9 {
		_, err := c.AppendToStream(soon(t), "s", esdb.AppendToStreamOptions{}, data(uuid.New())...)
		require.NoError(t, err)
	}
	read, err := c.ReadAll(soon(t), esdb.ReadAllOptions{}, 100)
	require.NoError(t, err)
	var all strings.Builder
	for event, err := read.Recv(); err == nil; event, err = read.Recv() {
		all.WriteString(event.OriginalEvent().StreamID[:1])
	}
	require.Contains(t, all.String(), "s$s")
}

// raw calls the protocol without the client.
func raw(t *testing.T, node *eventstoredbtest.Node, options ...grpc.DialOption) streams.StreamsClient {
	t.Helper()
	connection, err := grpc.NewClient(node.Address(),
		append(options, grpc.WithTransportCredentials(insecure.NewCredentials()))...)
	require.NoError(t, err)
	t.Cleanup(func() { _ = connection.Close() })
	return streams.NewStreamsClient(connection)
}

func propose(ctx context.Context, t *testing.T, c streams.StreamsClient,
	messages ...*streams.AppendReq_ProposedMessage) (metadata.MD, error) {
	t.Helper()
	call, err := c.Append(ctx)
	require.NoError(t, err)
	require.NoError(t,
		call.Send(&streams.AppendReq{Content: &streams.AppendReq_Options_{Options: &streams.AppendReq_Options{
			StreamIdentifier:       &shared.StreamIdentifier{StreamName: []byte("s")},
			ExpectedStreamRevision: &streams.AppendReq_Options_Any{},
		}}}))
	for _, message := range messages {
		_ = call.Send(&streams.AppendReq{Content: &streams.AppendReq_ProposedMessage_{ProposedMessage: message}})
	}
	_, err = call.CloseAndRecv()
	return call.Trailer(), err
}

func message(size int, keys ...string) *streams.AppendReq_ProposedMessage {
	m := &streams.AppendReq_ProposedMessage{
		Id: &shared.UUID{Value: &shared.UUID_Structured_{Structured: &shared.UUID_Structured{
			MostSignificantBits: 1}}},
		Metadata: map[string]string{}, Data: make([]byte, size),
	}
	for _, key := range keys {
		m.Metadata[key] = "x"
	}
	return m
}

func TestAppendRefusesMissingMetadataAndTooLargeEvents(t *testing.T) {
	c := raw(t, cluster(t, eventstoredbtest.Config{}).Node(0))
	_, err := propose(soon(t), t, c, message(1, "type"))
	require.Equal(t, codes.InvalidArgument, status.Code(err))
	require.ErrorContains(t, err, "'content-type' is missing")
	_, err = propose(soon(t), t, c, message(1<<20, "type", "content-type"))
	require.ErrorContains(t, err, "Maximum Append Size of 1048576 Exceeded.")
	_, err = propose(soon(t), t, c, message(1, "type", "content-type"))
	require.NoError(t, err)
}

func TestFollowerRefusesCallsThatRequireLeader(t *testing.T) {
	two := cluster(t, eventstoredbtest.Config{Nodes: 2})
	c := raw(t, two.Node(1))
	ctx := metadata.AppendToOutgoingContext(soon(t), "requires-leader", "true")
	trailer, err := propose(ctx, t, c, message(1, "type", "content-type"))
	require.Equal(t, codes.NotFound, status.Code(err))
	require.Equal(t, []string{"not-leader"}, trailer.Get("exception"))
	require.Equal(t, []string{"127.0.0.1"}, trailer.Get("leader-endpoint-host"))
	require.Equal(t, two.Node(0).Address(), "127.0.0.1:"+trailer.Get("leader-endpoint-port")[0])
	_, err = propose(soon(t), t, c, message(1, "type", "content-type"))
	require.NoError(t, err, "a call that does not require the leader is forwarded")
}

func TestFollowersLagBehind(t *testing.T) {
	two := cluster(t, eventstoredbtest.Config{Nodes: 2})
	two.SetLeader(0)
	_, err := client(t, two.URLOf(0)).AppendToStream(soon(t), "s", esdb.AppendToStreamOptions{}, data(uuid.New())...)
	require.NoError(t, err)
	read, err := client(t, two.URLOf(1)).ReadStream(soon(t), "s", esdb.ReadStreamOptions{}, 1)
	require.NoError(t, err)
	_, err = read.Recv()
	require.Equal(t, esdb.ErrorCodeResourceNotFound, code(t, err))
}
