package eventlog

import (
	"fmt"
	"slices"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/google/uuid"
)

// Further limits, the same on every backend.
const (
	// MaxNameBytes is the largest length of a stream's name and of an event's type.
	MaxNameBytes = 1024
	// MaxAppendCauses is the largest number of causes of all events of one append together.
	MaxAppendCauses = 8192
	// MaxDepth is how deep the objects and arrays of data may nest.
	MaxDepth = 100
)

// Check returns the events of an append as every backend stores them: data canonical,
// times in UTC and cut to microseconds, nothing shared with the caller. It returns
// ErrInvalid or ErrTooLarge, with the place in the append, for what no log takes.
func Check(stream string, expected Revision, events []Event) ([]Event, error) {
	if err := checkName(stream); err != nil {
		return nil, fmt.Errorf("append to %.80q: %w: the stream's name %w", stream, ErrInvalid, err)
	}
	prepared, err := checkAll(expected, events)
	if err != nil {
		return nil, fmt.Errorf("append to %s: %w", stream, err)
	}
	return prepared, nil
}

func checkAll(expected Revision, events []Event) ([]Event, error) {
	if expected < NoStream {
		return nil, fmt.Errorf("%w: %d is no expected revision; an empty stream is %d", ErrInvalid, expected, NoStream)
	}
	if err := checkSize(events); err != nil {
		return nil, err
	}
	prepared := make([]Event, len(events))
	for i, event := range events {
		checked, err := checkEvent(event)
		if err != nil {
			return nil, fmt.Errorf("%w: event %d of %d %w", ErrInvalid, i+1, len(events), err)
		}
		prepared[i] = checked
	}
	if id, twice := doubled(events); twice {
		return nil, fmt.Errorf("%w: two of the %d events have the id %s", ErrInvalid, len(events), id)
	}
	return prepared, nil
}

// checkSize looks at the lengths alone, so that a huge append costs nothing more.
func checkSize(events []Event) error {
	if len(events) == 0 {
		return fmt.Errorf("%w: the append holds no event", ErrInvalid)
	}
	if len(events) > MaxAppendEvents {
		return fmt.Errorf("%w: %d events, at most %d go into one append", ErrTooLarge, len(events), MaxAppendEvents)
	}
	bytes, causes := 0, 0
	for _, event := range events {
		bytes += len(event.Data)
		causes += len(event.Causes)
	}
	if bytes > MaxAppendBytes {
		return fmt.Errorf("%w: %d bytes of data, at most %d go into one append", ErrTooLarge, bytes, MaxAppendBytes)
	}
	if causes > MaxAppendCauses {
		return fmt.Errorf("%w: %d causes, at most %d go into one append", ErrTooLarge, causes, MaxAppendCauses)
	}
	return nil
}

func checkEvent(event Event) (Event, error) {
	if event.ID == uuid.Nil {
		return Event{}, fmt.Errorf("has no id")
	}
	if err := checkName(event.Type); err != nil {
		return Event{}, fmt.Errorf("(%s) has a type that %w", event.ID, err)
	}
	data, err := Canonical(event.Data)
	if err != nil {
		return Event{}, fmt.Errorf("(%s): %w", event.Type, err)
	}
	if data[0] != '{' {
		return Event{}, fmt.Errorf("(%s) has data that is no JSON object", event.Type)
	}
	event.Time, err = cut(event.Time)
	if err != nil {
		return Event{}, fmt.Errorf("(%s): %w", event.Type, err)
	}
	event.Data = data
	event.Causes = slices.Clone(event.Causes)
	return event, nil
}

// checkName says what is wrong with the name of a stream or of a type. Control
// characters are refused because one backend cannot store them and none can show them.
func checkName(name string) error {
	switch {
	case name == "":
		return fmt.Errorf("is empty")
	case len(name) > MaxNameBytes:
		return fmt.Errorf("has %d bytes, at most %d are taken", len(name), MaxNameBytes)
	case !utf8.ValidString(name):
		return fmt.Errorf("is not UTF-8")
	}
	for _, r := range name {
		if unicode.IsControl(r) {
			return fmt.Errorf("has the control character %U", r)
		}
	}
	return nil
}

// cut brings a time into the one form that every backend can give back unchanged.
func cut(t time.Time) (time.Time, error) {
	t = t.UTC().Truncate(time.Microsecond)
	if t.Year() < 1 || t.Year() > 9999 {
		return time.Time{}, fmt.Errorf("the year %d is outside 1 to 9999", t.Year())
	}
	return t, nil
}

func doubled(events []Event) (uuid.UUID, bool) {
	if len(events) == 1 {
		return uuid.Nil, false
	}
	seen := make(map[uuid.UUID]bool, len(events))
	for _, event := range events {
		if seen[event.ID] {
			return event.ID, true
		}
		seen[event.ID] = true
	}
	return uuid.Nil, false
}

// CheckLimit refuses a limit below 0, which is a slip of the caller: 0 means no limit,
// and reading all where nothing was meant would be the costly answer.
func CheckLimit(limit int) error {
	if limit < 0 {
		return fmt.Errorf("limit %d is below 0", limit)
	}
	return nil
}
