package eventlog

import (
	"errors"
	"fmt"
)

// Errors that every backend returns, wrapped with details.
var (
	// ErrUnknownOutcome means that a write (of events or of an item) may or may not have been stored.
	ErrUnknownOutcome = errors.New("outcome of the write is unknown")
	// ErrUnavailable means that the backend cannot be reached or refuses to work now.
	ErrUnavailable = errors.New("log is unavailable")
	// ErrFull means that there is no space left for the append. It wraps ErrUnavailable.
	ErrFull = fmt.Errorf("no space left for the log: %w", ErrUnavailable)
	// ErrTooLarge means that an append exceeds MaxAppendEvents, MaxAppendBytes or MaxAppendCauses, or that an item
	// exceeds the limit of its collection.
	ErrTooLarge = errors.New("too large")
	// ErrInvalid means that an event or a stream name is invalid, or that a collection does not support the item or
	// the operation.
	ErrInvalid = errors.New("invalid input")
	// ErrDamaged means that stored data is damaged: an event is missing, out of order, or does not match its
	// checksum.
	ErrDamaged = errors.New("stored event is damaged")
	// ErrForeign means that the opened file or database is not a drover log, has an unsupported format, or is another
	// log than expected.
	ErrForeign = errors.New("unusable log")
	// ErrClosed means that the log was closed.
	ErrClosed = errors.New("log is closed")
)

// Conflict is the error of an append whose expected revision is wrong.
type Conflict struct {
	Stream   string
	Expected Revision
	// Actual is the last revision of the stream, or NoStream if it is empty.
	Actual Revision
}

// Error returns the expected and the actual revision of the stream.
func (c *Conflict) Error() string {
	return fmt.Sprintf("stream %s is at revision %d, not at %d", c.Stream, c.Actual, c.Expected)
}

// SwapConflict is the error of a Swap when the newest item of the key is not the one that the caller expected.
type SwapConflict struct {
	Collection Collection
	Key        string
	// Sequence is the sequence of the newest item of Key, or 0 if the key has no item.
	Sequence int64
}

// Error returns the actual sequence of the newest item.
func (s *SwapConflict) Error() string {
	if s.Sequence == 0 {
		return fmt.Sprintf("there is no item with the key %q in %s", s.Key, s.Collection)
	}
	return fmt.Sprintf("the newest item with the key %q in %s has sequence %d", s.Key, s.Collection, s.Sequence)
}
