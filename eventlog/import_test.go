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

func opening(text string) func() (*eventlog.Archive, error) {
	return func() (*eventlog.Archive, error) { return eventlog.OpenArchive(strings.NewReader(text)) }
}

// failing is a log that takes some appends and then no more, and calls during before each.
type failing struct {
	eventlog.Backend
	left   int
	during func()
}

func (f *failing) Append(ctx context.Context, stream string, expected eventlog.Revision, all ...eventlog.Event) (eventlog.Appended, error) {
	if f.left--; f.left < 0 {
		return eventlog.Appended{}, eventlog.ErrUnavailable
	}
	if f.during != nil {
		f.during()
	}
	return f.Backend.Append(ctx, stream, expected, all...)
}

func TestServersAreKeptOffUntilAnImportHasEnded(t *testing.T) {
	ctx := context.Background()
	log := someLog(t)
	text := export(t, log)
	copied := like(t, log)
	require.NoError(t, eventlog.Importing(ctx, copied))
	asked := 0
	cut := &failing{copied, 3, func() {
		asked++
		require.ErrorIs(t, eventlog.Importing(ctx, copied), eventlog.ErrImporting)
	}}
	_, added, err := eventlog.ImportAlone(ctx, opening(text), cut, nil)
	require.ErrorIs(t, err, eventlog.ErrUnavailable)
	require.Positive(t, added)
	require.Equal(t, 3, asked)
	require.ErrorIs(t, eventlog.Importing(ctx, copied), eventlog.ErrImporting, "also after it was cut off")

	there, again, err := eventlog.ImportAlone(ctx, opening(text), copied, nil)
	require.NoError(t, err)
	require.Equal(t, 60, there)
	require.Equal(t, 60, added+again, "nothing twice")
	require.NoError(t, eventlog.Importing(ctx, copied))
	require.Equal(t, events(t, log), events(t, copied))
}

func TestALogInUseIsNotMarkedByAnImportThatIsRefused(t *testing.T) {
	ctx := context.Background()
	text := export(t, someLog(t))
	inUse := memory.Open(memory.Config{ID: uuid.New()})
	_, _, err := eventlog.ImportAlone(ctx, opening(text), inUse, nil)
	require.ErrorIs(t, err, eventlog.ErrForeign)
	require.NoError(t, eventlog.Importing(ctx, inUse))
}

func TestAnImportFindsOutThatSomethingElseWroteMeanwhile(t *testing.T) {
	ctx := context.Background()
	log := someLog(t)
	copied := like(t, log)
	once := false
	_, _, err := eventlog.ImportAlone(ctx, opening(export(t, log)), &failing{copied, 1000, func() {
		if !once {
			once = true
			_, err := copied.Append(ctx, "server/x", eventlog.NoStream, eventlog.Event{ID: uuid.New(), Type: "server.started/v1", Data: []byte(`{}`)})
			require.NoError(t, err)
		}
	}}, nil)
	require.ErrorIs(t, err, eventlog.ErrForeign)
	require.ErrorContains(t, err, "something else wrote to this log meanwhile")
	require.ErrorIs(t, eventlog.Importing(ctx, copied), eventlog.ErrImporting, "and nobody goes on with what came of it")
}
