package eventlog_test

import (
	"context"
	"strings"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/droverhq/drover/eventlog"
	"github.com/droverhq/drover/eventlog/memory"
)

func opener(text string) func() (*eventlog.Archive, error) {
	return func() (*eventlog.Archive, error) { return eventlog.OpenArchive(strings.NewReader(text)) }
}

// failingBackend stores a limited number of appends, then becomes unavailable. It calls before ahead of each append.
type failingBackend struct {
	eventlog.Backend
	left   int
	before func()
}

func (f *failingBackend) Append(ctx context.Context, stream string, expected eventlog.Revision,
	all ...eventlog.Event) (eventlog.Appended, error) {
	if f.left--; f.left < 0 {
		return eventlog.Appended{}, eventlog.ErrUnavailable
	}
	if f.before != nil {
		f.before()
	}
	return f.Backend.Append(ctx, stream, expected, all...)
}

func TestServersAreLockedOutUntilImportIsFinished(t *testing.T) {
	ctx := context.Background()
	log := newLogWithEvents(t)
	text := export(t, log)
	copied := emptyCopy(t, log)
	require.NoError(t, eventlog.CheckNotImporting(ctx, copied))
	calls := 0
	cut := &failingBackend{copied, 3, func() {
		calls++
		require.ErrorIs(t, eventlog.CheckNotImporting(ctx, copied), eventlog.ErrImporting)
	}}
	_, added, err := eventlog.ImportExclusive(ctx, opener(text), cut, nil)
	require.ErrorIs(t, err, eventlog.ErrUnavailable)
	require.Positive(t, added)
	require.Equal(t, 3, calls)
	require.ErrorIs(t, eventlog.CheckNotImporting(ctx, copied), eventlog.ErrImporting, "after an interrupted import")

	total, again, err := eventlog.ImportExclusive(ctx, opener(text), copied, nil)
	require.NoError(t, err)
	require.Equal(t, 60, total)
	require.Equal(t, 60, added+again, "nothing is imported twice")
	require.NoError(t, eventlog.CheckNotImporting(ctx, copied))
	require.Equal(t, events(t, log), events(t, copied))
}

func TestRefusedImportDoesNotLockOutServers(t *testing.T) {
	ctx := context.Background()
	text := export(t, newLogWithEvents(t))
	inUse := memory.Open(memory.Config{ID: uuid.New()})
	_, _, err := eventlog.ImportExclusive(ctx, opener(text), inUse, nil)
	require.ErrorIs(t, err, eventlog.ErrForeign)
	require.NoError(t, eventlog.CheckNotImporting(ctx, inUse))
}

func TestImportDetectsOtherWriters(t *testing.T) {
	ctx := context.Background()
	log := newLogWithEvents(t)
	copied := emptyCopy(t, log)
	once := false
	_, _, err := eventlog.ImportExclusive(ctx, opener(export(t, log)), &failingBackend{copied, 1000, func() {
		if !once {
			once = true
			_, err := copied.Append(ctx, "server/x", eventlog.NoStream,
				eventlog.Event{ID: uuid.New(), Type: "server.started/v1", Data: []byte(`{}`)})
			require.NoError(t, err)
		}
	}}, nil)
	require.ErrorIs(t, err, eventlog.ErrForeign)
	require.ErrorContains(t, err, "another process wrote to this log during the import")
	require.ErrorIs(t, eventlog.CheckNotImporting(ctx, copied), eventlog.ErrImporting, "servers stay locked out")
}
