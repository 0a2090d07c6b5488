package eventlogtest

import (
	"context"
	"encoding/json"
	"fmt"
	"iter"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/droverhq/drover/eventlog"
)

// Backend describes the backend under test.
type Backend struct {
	// Name is part of the name of every test, and the heading of the column in the table.
	Name string
	// Open returns a new, empty log that no other test uses.
	Open func(t testing.TB) eventlog.Backend
	// Reopen opens a closed log again. It is nil if Close discards the log.
	Reopen func(t testing.TB, closed eventlog.Backend) eventlog.Backend
	// Second opens a second handle to an open log, as a second server does. It is nil if the backend has only one
	// handle; then the tests use the first for both.
	Second func(t testing.TB, open eventlog.Backend) eventlog.Backend
}

// law is a conformance test. Its name is a sentence that a user understands.
type law struct {
	name  string
	check func(t testing.TB, b handles)
}

// handles are two handles to one log, on which a law is checked.
type handles struct {
	Backend
	log    eventlog.Backend
	second eventlog.Backend
}

// laws contains all laws, in the order of the table.
var laws = [][]law{appendLaws, repeatLaws, raceLaws, readLaws, refuseLaws, lifeLaws, leaseLaws, outputLaws, itemLaws,
	storeLaws}

// Exercise checks every law on backend, each on a new log.
func Exercise(t *testing.T, backend Backend) {
	t.Run(backend.Name, func(t *testing.T) {
		for _, group := range laws {
			for _, l := range group {
				t.Run(l.name, func(t *testing.T) { l.check(t, openHandles(t, backend)) })
			}
		}
	})
}

func openHandles(t testing.TB, backend Backend) handles {
	b := handles{Backend: backend, log: backend.Open(t)}
	b.second = b.log
	t.Cleanup(func() { require.NoError(t, b.log.Close()) })
	if backend.Second != nil {
		b.second = backend.Second(t, b.log)
		t.Cleanup(func() { require.NoError(t, b.second.Close()) })
	}
	return b
}

// timeout limits every law, so that a deadlock fails the test instead of blocking the run.
const timeout = 60 * time.Second

func bounded(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	t.Cleanup(cancel)
	return ctx
}

// id derives an id from words, so that a law can use the same event twice.
func id(words ...any) uuid.UUID {
	return uuid.NewSHA1(uuid.NameSpaceURL, []byte(fmt.Sprint(words...)))
}

// event returns an event that is determined by words.
func event(words ...any) eventlog.Event {
	return eventlog.Event{
		ID:   id(words...),
		Type: "thing.happened/v1",
		Time: time.Date(2026, 3, 4, 5, 6, 7, 8000, time.UTC),
		Data: json.RawMessage(fmt.Sprintf(`{"what":%q}`, fmt.Sprint(words...))),
	}
}

// events returns n events that are determined by words and their index.
func events(n int, words ...any) []eventlog.Event {
	made := make([]eventlog.Event, n)
	for i := range made {
		made[i] = event(append(words[:len(words):len(words)], "#", i)...)
	}
	return made
}

// put appends events and requires a new append.
func put(t require.TestingT, log eventlog.Log, stream string, expected eventlog.Revision,
	events ...eventlog.Event) eventlog.Appended {
	appended, err := log.Append(context.Background(), stream, expected, events...)
	require.NoError(t, err)
	require.False(t, appended.Repeat, "a new append to %s was reported as a repeat", stream)
	require.Equal(t, expected+eventlog.Revision(len(events)), appended.Revision)
	return appended
}

// collect reads to the end and requires that no error occurs.
func collect[T any](t require.TestingT, read iter.Seq2[T, error]) []T {
	var all []T
	for value, err := range read {
		require.NoError(t, err)
		all = append(all, value)
	}
	return all
}

func readAll(t require.TestingT, log eventlog.Log) []eventlog.Recorded {
	return collect(t, log.ReadAll(context.Background(), 0, 0))
}

func readStream(t require.TestingT, log eventlog.Log, stream string) []eventlog.Recorded {
	return collect(t, log.ReadStream(context.Background(), stream, 0, 0))
}

// firstError reads to the end, and requires that nothing follows an error.
func firstError[T any](t require.TestingT, read iter.Seq2[T, error]) error {
	var first error
	for _, err := range read {
		require.NoError(t, first, "a read continued after its error")
		first = err
	}
	return first
}

// conflict requires err to be a Conflict with the given fields.
func conflict(t require.TestingT, err error, stream string, expected, actual eventlog.Revision) {
	var refusal *eventlog.Conflict
	require.ErrorAs(t, err, &refusal)
	require.Equal(t, eventlog.Conflict{Stream: stream, Expected: expected, Actual: actual}, *refusal)
}

func ids(recorded []eventlog.Recorded) []uuid.UUID {
	all := make([]uuid.UUID, len(recorded))
	for i, event := range recorded {
		all[i] = event.ID
	}
	return all
}

func idsOf(events []eventlog.Event) []uuid.UUID {
	all := make([]uuid.UUID, len(events))
	for i, event := range events {
		all[i] = event.ID
	}
	return all
}
