package eventlog

import (
	"errors"
	"fmt"
)

// Errors that every backend returns, wrapped with its own words.
var (
	// ErrUnknownOutcome means that what was written, an append or an item, may or may not be there.
	ErrUnknownOutcome = errors.New("outcome of the write is unknown")
	// ErrUnavailable means that the backend cannot be reached or refuses to work now.
	ErrUnavailable = errors.New("log is unavailable")
	// ErrFull means that there is no room for the append; it wraps ErrUnavailable.
	ErrFull = fmt.Errorf("no space left for the log: %w", ErrUnavailable)
	// ErrTooLarge means that an append is beyond MaxAppendEvents or MaxAppendBytes, or an item beyond the bound of its collection.
	ErrTooLarge = errors.New("too large")
	// ErrInvalid means that an event lacks an id or a type, that its data is no JSON object, that the stream has no name, or
	// that a collection does not have such an item or such an operation.
	ErrInvalid = errors.New("invalid input")
	// ErrDamaged means that a stored event does not match its checksum.
	ErrDamaged = errors.New("stored event is damaged")
	// ErrForeign means that what was opened is no drover log, or one of a newer format.
	ErrForeign = errors.New("not a log this drover can use")
	// ErrClosed means that the log was closed.
	ErrClosed = errors.New("log is closed")
)

// Conflict refuses an append at a wrong expected revision.
type Conflict struct {
	Stream   string
	Expected Revision
	// Actual is the stream's last revision, NoStream if it is empty.
	Actual Revision
}

// Error says where the stream stands.
func (c *Conflict) Error() string {
	return fmt.Sprintf("stream %s is at revision %d, not at %d", c.Stream, c.Actual, c.Expected)
}

// Moved refuses a Swap because the newest item under the key is not the one that the caller expected.
type Moved struct {
	Collection Collection
	Key        string
	// Sequence is that of the newest item under Key, 0 if the key has no item.
	Sequence int64
}

// Error says what is there.
func (m *Moved) Error() string {
	if m.Sequence == 0 {
		return fmt.Sprintf("%s has no item under %q any more", m.Collection, m.Key)
	}
	return fmt.Sprintf("the newest item under %q in %s has the sequence %d", m.Key, m.Collection, m.Sequence)
}
