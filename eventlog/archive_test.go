package eventlog_test

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
	"github.com/droverhq/drover/eventlog/memory"
)

// newLogWithEvents returns a log with 60 events of three streams, in which every field of an event is used.
func newLogWithEvents(t *testing.T) *memory.Log {
	log := memory.Open(memory.Config{ID: uuid.New()})
	next := map[string]eventlog.Revision{"a": -1, "b": -1, "c": -1}
	for n := range 60 {
		stream := []string{"a", "b", "c"}[(n/4)%3]
		event := eventlog.Event{ID: uuid.New(), Type: "thing.happened/v1",
			Time: time.Date(2026, 1, 1, 0, 0, n, 5000, time.UTC),
			Data: json.RawMessage(fmt.Sprintf(`{"n":%d,"text":"<&>\u2028é"}`, n))}
		if n%5 == 0 {
			event.Command, event.Causes = uuid.New(), []uuid.UUID{uuid.New(), uuid.New()}
		}
		appended, err := log.Append(context.Background(), stream, next[stream], event)
		require.NoError(t, err)
		next[stream] = appended.Revision
	}
	return log
}

func export(t *testing.T, log eventlog.Log) string {
	var out bytes.Buffer
	found, err := eventlog.Export(context.Background(), log, &out, nil)
	require.NoError(t, err)
	require.Equal(t, 60, found.Events)
	return out.String()
}

func importInto(log eventlog.Log, text string) (int, error) {
	a, err := eventlog.OpenArchive(strings.NewReader(text))
	if err != nil {
		return 0, err
	}
	return a.Import(context.Background(), log, nil)
}

func events(t *testing.T, log eventlog.Log) (all []eventlog.Recorded) {
	for rec, err := range log.ReadAll(context.Background(), 0, 0) {
		require.NoError(t, err)
		all = append(all, rec)
	}
	return all
}

// emptyCopy returns an empty log with the id of log.
func emptyCopy(t *testing.T, log eventlog.Log) *memory.Log {
	id, err := log.ID(context.Background())
	require.NoError(t, err)
	return memory.Open(memory.Config{ID: id})
}

// TestImportRespectsLimitsOfAppend imports consecutive events of one stream that do not fit into one append.
func TestImportRespectsLimitsOfAppend(t *testing.T) {
	same := uuid.New()
	for name, change := range map[string]func(e *eventlog.Event){
		"causes":       func(e *eventlog.Event) { e.Causes = make([]uuid.UUID, eventlog.MaxAppendCauses/2+1) },
		"repeated ids": func(e *eventlog.Event) { e.ID = same },
	} {
		log := memory.Open(memory.Config{ID: uuid.New()})
		for n := range 3 {
			event := eventlog.Event{ID: uuid.New(), Type: "thing.happened/v1", Data: json.RawMessage(`{}`)}
			change(&event)
			_, err := log.Append(t.Context(), "a", eventlog.Revision(n-1), event)
			require.NoError(t, err, name)
		}
		var text bytes.Buffer
		_, err := eventlog.Export(t.Context(), log, &text, nil)
		require.NoError(t, err, name)
		copied := emptyCopy(t, log)
		added, err := importInto(copied, text.String())
		require.NoError(t, err, name)
		require.Equal(t, 3, added, name)
		require.Equal(t, events(t, log), events(t, copied), name)
	}
}

func TestExportAndImportRecreateTheLog(t *testing.T) {
	log := newLogWithEvents(t)
	text := export(t, log)
	copied := emptyCopy(t, log)
	added, err := importInto(copied, text)
	require.NoError(t, err)
	require.Equal(t, 60, added)
	require.Equal(t, events(t, log), events(t, copied))
	require.Equal(t, text, export(t, copied), "the archive of the copy")
	added, err = importInto(copied, text)
	require.NoError(t, err)
	require.Zero(t, added, "a repeated import adds nothing")
}

// failingLog stores a limited number of appends, loses every answer, and then becomes unavailable.
type failingLog struct {
	eventlog.Log
	left int
}

func (c *failingLog) Append(ctx context.Context, stream string, expected eventlog.Revision,
	all ...eventlog.Event) (eventlog.Appended, error) {
	if c.left--; c.left < 0 {
		return eventlog.Appended{}, eventlog.ErrUnavailable
	}
	appended, err := c.Log.Append(ctx, stream, expected, all...)
	return appended, errors.Join(err, eventlog.ErrUnknownOutcome)
}

func TestInterruptedImportCanBeRepeated(t *testing.T) {
	log := newLogWithEvents(t)
	text := export(t, log)
	copied := emptyCopy(t, log)
	for attempt := 0; ; attempt++ {
		require.Less(t, attempt, 20)
		_, err := importInto(&failingLog{copied, 3}, text)
		if len(events(t, copied)) == 60 {
			break
		}
		require.ErrorIs(t, err, eventlog.ErrUnavailable)
	}
	require.Equal(t, events(t, log), events(t, copied))
}

func TestImportIntoLogWithOtherEventsIsRefused(t *testing.T) {
	log := newLogWithEvents(t)
	text := export(t, log)
	_, err := importInto(memory.New(), text)
	require.ErrorIs(t, err, eventlog.ErrForeign, "another log")
	other := emptyCopy(t, log)
	_, err = other.Append(context.Background(), "a", eventlog.NoStream,
		eventlog.Event{ID: uuid.New(), Type: "x/v1", Data: []byte(`{}`)})
	require.NoError(t, err)
	_, err = importInto(other, text)
	require.ErrorIs(t, err, eventlog.ErrForeign, "same id, different event")
	longer := emptyCopy(t, log)
	_, err = importInto(longer, text)
	require.NoError(t, err)
	_, err = longer.Append(context.Background(), "d", eventlog.NoStream,
		eventlog.Event{ID: uuid.New(), Type: "x/v1", Data: []byte(`{}`)})
	require.NoError(t, err)
	_, err = importInto(longer, text)
	require.ErrorIs(t, err, eventlog.ErrForeign, "an event after the end of the archive")
}

func TestDamagedOrTruncatedArchiveIsDetected(t *testing.T) {
	log := newLogWithEvents(t)
	text := export(t, log)
	check := func(text string) error {
		a, err := eventlog.OpenArchive(strings.NewReader(text))
		if err != nil {
			return err
		}
		return a.Check()
	}
	require.NoError(t, check(text))
	for i := range text {
		damaged := []byte(text)
		damaged[i] ^= 1 << (i % 8)
		require.Error(t, check(string(damaged)), "byte %d of %q", i, text[max(0, i-30):min(len(text), i+30)])
	}
	for cut := 0; cut < len(text)-1; cut += 7 {
		require.Error(t, check(text[:cut]), "truncated at byte %d", cut)
	}
	require.ErrorContains(t, check(text+text), "unexpected data after the end", "two archives in one file")
	lines := strings.SplitAfter(text, "\n")
	require.ErrorContains(t, check(strings.Join(append(lines[:5:5], lines[6:]...), "")), "1 events are missing")
	require.ErrorContains(t, check(strings.Replace(text, `"n":7,`, `"n":8,`, 1)), "line 9")
}
