package eventstoredb_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/droverhq/drover/eventlog"
	"github.com/droverhq/drover/eventlog/eventstoredb"
	"github.com/droverhq/drover/eventlog/eventstoredb/eventstoredbtest"
	"github.com/droverhq/drover/eventlog/memory"
)

// archive returns an archive of n events in ten streams. In each group of run events, all belong to one stream.
func archive(t testing.TB, n, run int) (text []byte, all []eventlog.Recorded) {
	t.Helper()
	log := memory.Open(memory.Config{ID: uuid.New()})
	next := map[string]eventlog.Revision{}
	for i := range n {
		stream := fmt.Sprint("stream", i/run%10)
		put(t, log, stream, next[stream]-1, event("archived", i))
		next[stream]++
	}
	return export(t, log), readAll(t, log)
}

func export(t testing.TB, log eventlog.Log) []byte {
	t.Helper()
	var text bytes.Buffer
	_, err := eventlog.Export(within(t, 20*time.Second), log, &text, nil)
	require.NoError(t, err)
	return text.Bytes()
}

// openFor opens a new log that can receive an archive.
func openFor(t testing.TB, cluster *eventstoredbtest.Cluster, text []byte) *eventstoredb.Log {
	t.Helper()
	a, err := eventlog.OpenArchive(bytes.NewReader(text))
	require.NoError(t, err)
	log, err := eventstoredb.Open(within(t, 20*time.Second), cluster.URL(nil, "log="+uuid.NewString()),
		eventstoredb.Config{ID: a.ID()})
	require.NoError(t, err)
	t.Cleanup(func() { _ = log.Close() })
	return log
}

func importInto(ctx context.Context, log eventlog.Backend, text []byte) (added int, err error) {
	_, added, err = eventlog.ImportExclusive(ctx,
		func() (*eventlog.Archive, error) { return eventlog.OpenArchive(bytes.NewReader(text)) }, log, nil)
	return added, err
}

func requireSameEvents(t testing.TB, want []eventlog.Recorded, log eventlog.Log) {
	t.Helper()
	got := readAll(t, log)
	require.Len(t, got, len(want))
	for i := range want {
		want[i].Position, got[i].Position = 0, 0
		require.Equal(t, want[i], got[i])
	}
}

func TestImportGroupsEventsOfStreamAndDoesNotReadBack(t *testing.T) {
	cluster := start(t, eventstoredbtest.Config{})
	text, want := archive(t, 400, 4)
	log := openFor(t, cluster, text)
	a, err := eventlog.OpenArchive(bytes.NewReader(text))
	require.NoError(t, err)
	appends, reads := cluster.Calls(eventstoredbtest.Append), cluster.Calls(eventstoredbtest.Read)
	_, err = a.Import(within(t, 20*time.Second), log, nil)
	require.NoError(t, err)
	require.Equal(t, 100, cluster.Calls(eventstoredbtest.Append)-appends, "one append for each group")
	require.Less(t, cluster.Calls(eventstoredbtest.Read)-reads, 10, "no read for each append")
	requireSameEvents(t, want, log)
}

// interrupted is a log whose import ends after a number of appends. The last of them is stored, but has no reply.
type interrupted struct {
	*eventstoredb.Log
	left int
}

var errInterrupted = errors.New("interrupted")

func (i *interrupted) AppendForImport(ctx context.Context, stream string, expected eventlog.Revision,
	events ...eventlog.Event) error {
	err := i.Log.AppendForImport(ctx, stream, expected, events...)
	if i.left--; err == nil && i.left == 0 {
		return errInterrupted
	}
	return err
}

func TestInterruptedImportIsResumedExactly(t *testing.T) {
	cluster := start(t, eventstoredbtest.Config{})
	text, want := archive(t, 300, 3)
	log := openFor(t, cluster, text)
	ctx, total := within(t, 60*time.Second), 0
	for _, appends := range []int{1, 20, 30, 48} {
		added, err := importInto(ctx, &interrupted{log, appends}, text)
		require.ErrorIs(t, err, errInterrupted)
		require.Equal(t, 3*(appends-1), added)
		total += 3 * appends
		require.Len(t, readAll(t, log), total, "the append without a reply is stored")
		require.ErrorIs(t, eventlog.CheckNotImporting(ctx, log), eventlog.ErrImporting)
	}
	added, err := importInto(ctx, log, text)
	require.NoError(t, err)
	require.Equal(t, 300, total+added)
	requireSameEvents(t, want, log)
	require.NoError(t, eventlog.CheckNotImporting(ctx, log))
}

func TestLostRepliesDoNotChangeImport(t *testing.T) {
	cluster := start(t, eventstoredbtest.Config{})
	text, want := archive(t, 60, 3)
	log := openFor(t, cluster, text)
	for range 5 {
		cluster.Fail(eventstoredbtest.Append, 0, eventstoredbtest.LoseReply, eventstoredbtest.Refuse,
			eventstoredbtest.TimeOut, eventstoredbtest.ReportConflict)
	}
	require.NoError(t, importAll(within(t, 20*time.Second), log, text))
	requireSameEvents(t, want, log)
}

// TestImportSplitsGroupThatIsTooLargeForServer imports events that fit into one append of the contract. The server
// counts their types twice, so that they do not fit into one append of the server.
func TestImportSplitsGroupThatIsTooLargeForServer(t *testing.T) {
	log := memory.Open(memory.Config{ID: uuid.New()})
	large := events(eventlog.MaxAppendEvents, "large")
	for i := range large {
		large[i].Type = strings.Repeat("t", eventlog.MaxNameBytes)
		large[i].Data = json.RawMessage(`{}`)
	}
	put(t, log, "a", eventlog.NoStream, large...)
	text := export(t, log)
	copied := openFor(t, start(t, eventstoredbtest.Config{}), text)
	added, err := importInto(within(t, 20*time.Second), copied, text)
	require.NoError(t, err)
	require.Equal(t, len(large), added)
	requireSameEvents(t, readAll(t, log), copied)
}

// withoutImporter hides the cheaper append of a log.
type withoutImporter struct{ eventlog.Log }

// BenchmarkImport compares three ways to import 2 000 events, on the test server: one append with a read-back for each
// event, one append with a read-back for each group of events of one stream, and Import, which reads nothing back. run
// is the number of events in a group.
func BenchmarkImport(b *testing.B) {
	for _, run := range []int{1, 2, 4, 16} {
		text, all := archive(b, 2000, run)
		ways := map[string]func(log eventlog.Log) error{
			"each-event": func(log eventlog.Log) error {
				for _, e := range all {
					if _, err := log.Append(b.Context(), e.Stream, e.Revision-1, e.Event); err != nil {
						return err
					}
				}
				return nil
			},
			"read-back": func(log eventlog.Log) error { return importAll(b.Context(), withoutImporter{log}, text) },
			"import":    func(log eventlog.Log) error { return importAll(b.Context(), log, text) },
		}
		for _, way := range []string{"each-event", "read-back", "import"} {
			b.Run(fmt.Sprintf("run=%d/%s", run, way), func(b *testing.B) {
				cluster := start(b, eventstoredbtest.Config{})
				for b.Loop() {
					b.StopTimer()
					log := openFor(b, cluster, text)
					b.StartTimer()
					require.NoError(b, ways[way](log))
				}
				b.ReportMetric(float64(b.N*len(all))/b.Elapsed().Seconds(), "events/s")
			})
		}
	}
}

func importAll(ctx context.Context, log eventlog.Log, text []byte) error {
	a, err := eventlog.OpenArchive(bytes.NewReader(text))
	if err != nil {
		return err
	}
	_, err = a.Import(ctx, log, nil)
	return err
}
