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
	// MaxNameBytes is the largest length of a stream name, an event type and an item key.
	MaxNameBytes = 1024
	// MaxAppendCauses is the largest total number of causes in one append.
	MaxAppendCauses = 8192
	// MaxDepth is the largest nesting depth of objects and arrays in data.
	MaxDepth = 100
)

// CheckAppend validates an append and returns its events as every backend stores them: canonical data, times in UTC and
// truncated to microseconds, and no memory shared with the caller. Its errors are ErrInvalid and ErrTooLarge; they name
// the event that is wrong.
func CheckAppend(stream string, expected Revision, events []Event) ([]Event, error) {
	if err := checkName(stream); err != nil {
		return nil, fmt.Errorf("append to %.80q: %w: the stream name %w", stream, ErrInvalid, err)
	}
	prepared, err := checkAll(expected, events)
	if err != nil {
		return nil, fmt.Errorf("append to %s: %w", stream, err)
	}
	return prepared, nil
}

func checkAll(expected Revision, events []Event) ([]Event, error) {
	if expected < NoStream {
		return nil, fmt.Errorf("%w: invalid expected revision %d: use %d for an empty stream", ErrInvalid, expected,
			NoStream)
	}
	if err := checkSize(events); err != nil {
		return nil, err
	}
	prepared := make([]Event, len(events))
	for i, event := range events {
		checked, err := checkEvent(event)
		if err != nil {
			return nil, fmt.Errorf("%w: event %d of %d: %w", ErrInvalid, i+1, len(events), err)
		}
		prepared[i] = checked
	}
	if id, found := duplicateID(events); found {
		return nil, fmt.Errorf("%w: duplicate event id %s in an append of %d events", ErrInvalid, id, len(events))
	}
	return prepared, nil
}

// checkSize only adds up lengths, so that an oversized append is refused at low cost.
func checkSize(events []Event) error {
	if len(events) == 0 {
		return fmt.Errorf("%w: the append has no events", ErrInvalid)
	}
	if len(events) > MaxAppendEvents {
		return fmt.Errorf("%w: %d events: an append can have at most %d", ErrTooLarge, len(events), MaxAppendEvents)
	}
	bytes, causes := 0, 0
	for _, event := range events {
		bytes += len(event.Data)
		causes += len(event.Causes)
	}
	if bytes > MaxAppendBytes {
		return fmt.Errorf("%w: %d bytes of data: an append can have at most %d", ErrTooLarge, bytes, MaxAppendBytes)
	}
	if causes > MaxAppendCauses {
		return fmt.Errorf("%w: %d causes: an append can have at most %d", ErrTooLarge, causes, MaxAppendCauses)
	}
	return nil
}

func checkEvent(event Event) (Event, error) {
	if event.ID == uuid.Nil {
		return Event{}, fmt.Errorf("the id is missing")
	}
	if err := checkName(event.Type); err != nil {
		return Event{}, fmt.Errorf(" %s: the type %w", event.ID, err)
	}
	data, err := Canonical(event.Data)
	if err != nil {
		return Event{}, fmt.Errorf("%s: %w", event.Type, err)
	}
	if data[0] != '{' {
		return Event{}, fmt.Errorf("%s: data is not a JSON object", event.Type)
	}
	event.Time, err = truncate(event.Time)
	if err != nil {
		return Event{}, fmt.Errorf("%s: %w", event.Type, err)
	}
	event.Data = data
	event.Causes = slices.Clone(event.Causes)
	return event, nil
}

// checkName validates the name of a stream, a type or a key. Control characters are refused because one backend
// cannot store them and terminals cannot show them.
func checkName(name string) error {
	switch {
	case name == "":
		return fmt.Errorf("is empty")
	case len(name) > MaxNameBytes:
		return fmt.Errorf("has %d bytes: use at most %d", len(name), MaxNameBytes)
	case !utf8.ValidString(name):
		return fmt.Errorf("is not UTF-8")
	}
	for _, r := range name {
		if unicode.IsControl(r) {
			return fmt.Errorf("contains the control character %U", r)
		}
	}
	return nil
}

// truncate returns t in UTC and with the precision that every backend can store.
func truncate(t time.Time) (time.Time, error) {
	t = t.UTC().Truncate(time.Microsecond)
	if t.Year() < 1 || t.Year() > 9999 {
		return time.Time{}, fmt.Errorf("invalid time: the year is %d: use 1 to 9999", t.Year())
	}
	return t, nil
}

// duplicateID returns an id that several events share.
func duplicateID(events []Event) (uuid.UUID, bool) {
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

// CheckLimit returns an error for a negative limit. A negative limit is a mistake of the caller; reading everything
// instead would be costly.
func CheckLimit(limit int) error {
	if limit < 0 {
		return fmt.Errorf("invalid limit %d: use a positive number, or 0 for no limit", limit)
	}
	return nil
}
