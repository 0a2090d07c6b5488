package eventlog

import (
	"errors"
	"fmt"
)

// Errors that every backend returns, wrapped with its own words.
var (
	// ErrUnknownOutcome means that an append may or may not be in the log.
	ErrUnknownOutcome = errors.New("outcome of the append is unknown")
	// ErrUnavailable means that the backend cannot be reached or refuses to work now.
	ErrUnavailable = errors.New("log is unavailable")
	// ErrFull means that there is no room for the append; it wraps ErrUnavailable.
	ErrFull = fmt.Errorf("no space left for the log: %w", ErrUnavailable)
	// ErrTooLarge means that an append is beyond MaxAppendEvents or MaxAppendBytes.
	ErrTooLarge = errors.New("append is too large")
	// ErrInvalid means that an event lacks an id or a type, that its data is no JSON object, or that the stream has no name.
	ErrInvalid = errors.New("event is invalid")
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
