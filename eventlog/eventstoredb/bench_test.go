package eventstoredb_test

import (
	"context"
	"fmt"
	"runtime"
	"sync/atomic"
	"testing"

	"github.com/EventStore/EventStore-Client-Go/v4/esdb"
	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/droverhq/drover/eventlog"
	"github.com/droverhq/drover/eventlog/eventstoredb"
	"github.com/droverhq/drover/eventlog/eventstoredb/eventstoredbtest"
)

// BenchmarkAppend compares an append through the log with one through the bare client, on the test server. The log
// adds a round trip to read the position back, a goroutine, metadata and a checksum. The result does not predict a
// real cluster, whose appends wait for disks and a majority.
func BenchmarkAppend(b *testing.B) {
	for _, writers := range []int{1, 16} {
		b.Run(fmt.Sprintf("client/writers=%d", writers), func(b *testing.B) {
			client := bareClient(b, start(b, eventstoredbtest.Config{}).URL(nil))
			appends(b, writers, func(stream string, n int) error {
				options := esdb.AppendToStreamOptions{ExpectedRevision: esdb.NoStream{}}
				if n > 0 {
					options.ExpectedRevision = esdb.Revision(uint64(n - 1))
				}
				_, err := client.AppendToStream(context.Background(), stream, options,
					esdb.EventData{EventID: uuid.New(), EventType: "x", ContentType: esdb.ContentTypeJson,
						Data: []byte(`{"a":1}`)})
				return err
			})
		})
		b.Run(fmt.Sprintf("log/writers=%d", writers), func(b *testing.B) {
			log := with(b, start(b, eventstoredbtest.Config{}), eventstoredb.Config{})
			appends(b, writers, func(stream string, n int) error {
				_, err := log.Append(context.Background(), stream, eventlog.Revision(n-1),
					eventlog.Event{ID: uuid.New(), Type: "x", Data: []byte(`{"a":1}`)})
				return err
			})
		})
	}
}

// appends runs concurrent writers, each of which appends to its own stream.
func appends(b *testing.B, writers int, one func(stream string, n int) error) {
	b.Helper()
	b.SetParallelism(max(writers/runtime.GOMAXPROCS(0), 1))
	var streams atomic.Int64
	b.RunParallel(func(work *testing.PB) {
		stream := fmt.Sprint("stream", streams.Add(1))
		for n := 0; work.Next(); n++ {
			if err := one(stream, n); err != nil {
				b.Error(err)
				return
			}
		}
	})
}

// BenchmarkReadAll reads a log of 10 000 events.
func BenchmarkReadAll(b *testing.B) {
	log := with(b, start(b, eventstoredbtest.Config{}), eventstoredb.Config{})
	const batches = 20
	for i := range batches {
		put(b, log, "a", eventlog.Revision(i*eventlog.MaxAppendEvents-1), events(eventlog.MaxAppendEvents, i)...)
	}
	for b.Loop() {
		require.Len(b, readAll(b, log), batches*eventlog.MaxAppendEvents)
	}
	b.ReportMetric(float64(b.N*batches*eventlog.MaxAppendEvents)/b.Elapsed().Seconds(), "events/s")
}
