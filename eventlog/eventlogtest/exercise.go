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

// Backend is one way to keep a log.
type Backend struct {
	// Name stands in the name of every test and at the head of the backend's column.
	Name string
	// Open returns a new, empty log that no other test uses.
	Open func(t testing.TB) eventlog.Backend
	// Reopen returns the log again after it was closed; nil where it ends with Close.
	Reopen func(t testing.TB, closed eventlog.Backend) eventlog.Backend
	// Second returns another way to the log while it stays open, as a second server has;
	// nil where there is none, then both ways are the same.
	Second func(t testing.TB, open eventlog.Backend) eventlog.Backend
}

// law is one sentence that one could say to a user, and its proof.
type law struct {
	name  string
	prove func(t testing.TB, b bench)
}

// bench is what a law works on: one log, by two ways.
type bench struct {
	Backend
	log    eventlog.Backend
	second eventlog.Backend
}

// laws are all there are, in the order of the table.
var laws = [][]law{appendLaws, repeatLaws, raceLaws, readLaws, refuseLaws, lifeLaws, leaseLaws, outputLaws, itemLaws, storeLaws}

// Exercise proves every law on backend, each on a log of its own.
func Exercise(t *testing.T, backend Backend) {
	t.Run(backend.Name, func(t *testing.T) {
		for _, group := range laws {
			for _, l := range group {
				t.Run(l.name, func(t *testing.T) { l.prove(t, newBench(t, backend)) })
			}
		}
	})
}

func newBench(t testing.TB, backend Backend) bench {
	b := bench{Backend: backend, log: backend.Open(t)}
	b.second = b.log
	t.Cleanup(func() { require.NoError(t, b.log.Close()) })
	if backend.Second != nil {
		b.second = backend.Second(t, b.log)
		t.Cleanup(func() { require.NoError(t, b.second.Close()) })
	}
	return b
}

// patience bounds every law, so that a deadlock is a failure and not a hanging run.
const patience = 60 * time.Second

func bounded(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	t.Cleanup(cancel)
	return ctx
}

// id derives an id from words, so that a law can name the same event twice.
func id(words ...any) uuid.UUID {
	return uuid.NewSHA1(uuid.NameSpaceURL, []byte(fmt.Sprint(words...)))
}

// event makes the event that words name.
func event(words ...any) eventlog.Event {
	return eventlog.Event{
		ID:   id(words...),
		Type: "thing.happened/v1",
		Time: time.Date(2026, 3, 4, 5, 6, 7, 8000, time.UTC),
		Data: json.RawMessage(fmt.Sprintf(`{"what":%q}`, fmt.Sprint(words...))),
	}
}

// events makes n events that words and a number name.
func events(n int, words ...any) []eventlog.Event {
	made := make([]eventlog.Event, n)
	for i := range made {
		made[i] = event(append(words[:len(words):len(words)], "#", i)...)
	}
	return made
}

// put appends and expects a new place in the log.
func put(t require.TestingT, log eventlog.Log, stream string, expected eventlog.Revision, events ...eventlog.Event) eventlog.Appended {
	appended, err := log.Append(context.Background(), stream, expected, events...)
	require.NoError(t, err)
	require.False(t, appended.Repeat, "a new append to %s is called a repeat", stream)
	require.Equal(t, expected+eventlog.Revision(len(events)), appended.Revision)
	return appended
}

// collect reads to the end and expects no error.
func collect[T any](t require.TestingT, read iter.Seq2[T, error]) []T {
	var all []T
	for one, err := range read {
		require.NoError(t, err)
		all = append(all, one)
	}
	return all
}

func readAll(t require.TestingT, log eventlog.Log) []eventlog.Recorded {
	return collect(t, log.ReadAll(context.Background(), 0, 0))
}

func readStream(t require.TestingT, log eventlog.Log, stream string) []eventlog.Recorded {
	return collect(t, log.ReadStream(context.Background(), stream, 0, 0))
}

// firstError reads until an error comes, and expects nothing behind it.
func firstError[T any](t require.TestingT, read iter.Seq2[T, error]) error {
	var first error
	for _, err := range read {
		require.NoError(t, first, "a read went on after its error")
		first = err
	}
	return first
}

// conflict expects err to be a refusal that names where the stream stands.
func conflict(t require.TestingT, err error, stream string, expected, actual eventlog.Revision) {
	var refusal *eventlog.Conflict
	require.ErrorAs(t, err, &refusal)
	require.Equal(t, eventlog.Conflict{Stream: stream, Expected: expected, Actual: actual}, *refusal)
}

func ids(recorded []eventlog.Recorded) []uuid.UUID {
	all := make([]uuid.UUID, len(recorded))
	for i, one := range recorded {
		all[i] = one.ID
	}
	return all
}

func idsOf(events []eventlog.Event) []uuid.UUID {
	all := make([]uuid.UUID, len(events))
	for i, one := range events {
		all[i] = one.ID
	}
	return all
}
