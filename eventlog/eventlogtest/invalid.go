package eventlogtest

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/droverhq/drover/eventlog"
)

// refused requires an append to return an error of kind that contains text, and the log to stay empty.
func refused(t testing.TB, b handles, kind error, text, stream string, expected eventlog.Revision,
	events ...eventlog.Event) {
	t.Helper()
	_, err := b.log.Append(bounded(t), stream, expected, events...)
	require.ErrorIs(t, err, kind)
	require.ErrorContains(t, err, text)
	require.Less(t, len(err.Error()), 400, "the error message is too long")
	require.Empty(t, readAll(t, b.log))
}

// sized returns an event with n bytes of data.
func sized(n int, words ...any) eventlog.Event {
	made := event(words...)
	made.Data = json.RawMessage(`{"a":"` + strings.Repeat("x", n-len(`{"a":""}`)) + `"}`)
	return made
}

var refuseLaws = []law{
	{"an append of 500 events is accepted and one of 501 is refused", func(t testing.TB, b handles) {
		refused(t, b, eventlog.ErrTooLarge, "501 events: an append can have at most 500", "a", eventlog.NoStream,
			events(501, "a")...)
		put(t, b.log, "a", eventlog.NoStream, events(500, "a")...)
	}},
	{"an append of 512 KiB is accepted and one byte more is refused", func(t testing.TB, b handles) {
		refused(t, b, eventlog.ErrTooLarge, "524289 bytes of data: an append can have at most 524288", "a",
			eventlog.NoStream,
			sized(512<<10, "a"), eventlog.Event{ID: id("b"), Type: "x", Data: json.RawMessage(`1`)})
		put(t, b.log, "a", eventlog.NoStream, sized(256<<10, "a"), sized(256<<10, "b"))
		put(t, b.log, "b", eventlog.NoStream, sized(512<<10, "c"))
		require.Len(t, readAll(t, b.second)[2].Data, 512<<10)
	}},
	{"an append with 8192 causes is accepted and one more is refused", func(t testing.TB, b handles) {
		made := event("a")
		for i := range eventlog.MaxAppendCauses {
			made.Causes = append(made.Causes, id(i))
		}
		more := made
		more.Causes = append(made.Causes[:len(made.Causes):len(made.Causes)], id("one more"))
		refused(t, b, eventlog.ErrTooLarge, "8193 causes: an append can have at most 8192", "a", eventlog.NoStream,
			more)
		put(t, b.log, "a", eventlog.NoStream, made)
		require.Equal(t, made.Causes, readAll(t, b.second)[0].Causes)
	}},
	{"an invalid event is refused with its index and the reason", func(t testing.TB, b handles) {
		for text, change := range map[string]func(*eventlog.Event){
			"event 2 of 2: the id is missing":                         func(e *eventlog.Event) { e.ID = uuid.Nil },
			"the type is empty":                                       func(e *eventlog.Event) { e.Type = "" },
			"the type has 1025 bytes":                                 func(e *eventlog.Event) { e.Type = strings.Repeat("t", 1025) },
			"the control character U+0000":                            func(e *eventlog.Event) { e.Type = "a\x00b" },
			"data is not a JSON object":                               func(e *eventlog.Event) { e.Data = json.RawMessage(`[1]`) },
			"event 2 of 2: thing.happened/v1: data is not valid JSON": func(e *eventlog.Event) { e.Data = nil },
			"data is not valid JSON at byte 6":                        func(e *eventlog.Event) { e.Data = json.RawMessage(`{"a":}`) },
			`data has the duplicate name "a"`:                         func(e *eventlog.Event) { e.Data = json.RawMessage(`{"a":1,"a":2}`) },
			"data is not UTF-8":                                       func(e *eventlog.Event) { e.Data = json.RawMessage("{\"a\":\"\xc3\"}") },
			"half a surrogate pair":                                   func(e *eventlog.Event) { e.Data = json.RawMessage(`{"a":"\udc00"}`) },
			"the year is 10000: use 1 to 9999":                        func(e *eventlog.Event) { e.Time = time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC) },
			"nested deeper than 100 levels": func(e *eventlog.Event) {
				e.Data = json.RawMessage(strings.Repeat(`{"a":`, 101) + "1" + strings.Repeat("}", 101))
			},
			"duplicate event id": func(e *eventlog.Event) { e.ID = id("a") },
		} {
			bad := event("b")
			change(&bad)
			refused(t, b, eventlog.ErrInvalid, text, "stream", eventlog.NoStream, event("a"), bad)
		}
	}},
	{"an invalid stream name is refused", func(t testing.TB, b handles) {
		refused(t, b, eventlog.ErrInvalid, "the stream name is empty", "", eventlog.NoStream, event("a"))
		refused(t, b, eventlog.ErrInvalid, "has 1025 bytes", strings.Repeat("s", 1025), eventlog.NoStream, event("a"))
		refused(t, b, eventlog.ErrInvalid, "U+000A", "a\nb", eventlog.NoStream, event("a"))
		refused(t, b, eventlog.ErrInvalid, "is not UTF-8", "a\xff", eventlog.NoStream, event("a"))
		put(t, b.log, strings.Repeat("s", 1024), eventlog.NoStream, event("a"))
		require.Len(t, readStream(t, b.log, strings.Repeat("s", 1024)), 1)
	}},
	{"data nested 100 levels deep is accepted", func(t testing.TB, b handles) {
		deep := event("deep")
		deep.Data = json.RawMessage(strings.Repeat(`{"a":`, 100) + "1" + strings.Repeat("}", 100))
		put(t, b.log, "a", eventlog.NoStream, deep)
		require.Equal(t, deep.Data, readAll(t, b.second)[0].Data)
	}},
	{"an append without events is refused", func(t testing.TB, b handles) {
		refused(t, b, eventlog.ErrInvalid, "has no events", "a", eventlog.NoStream)
	}},
	{"an invalid expected revision is refused", func(t testing.TB, b handles) {
		refused(t, b, eventlog.ErrInvalid, "invalid expected revision -2", "a", -2, event("a"))
	}},
}
