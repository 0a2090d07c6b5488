package eventlog

import (
	"context"
	"encoding/json"
	"iter"
	"strconv"
	"time"

	"github.com/google/uuid"
)

// Limits of one append, the same on every backend.
const (
	// MaxAppendEvents is the largest number of events in one append.
	MaxAppendEvents = 500
	// MaxAppendBytes is the largest sum of the Data lengths in one append.
	MaxAppendBytes = 512 << 10
)

// Revision is the place of an event in its stream, counted from 0.
type Revision int64

// NoStream is the expected revision of a stream without events.
const NoStream Revision = -1

// Position is the place of an event in the whole log. Positions are opaque: they rise strictly within one log, but
// positions of two logs cannot be compared. They are never stored inside event data. The zero Position is before the
// first event.
type Position uint64

// String returns p as decimal text, the form that the API uses.
func (p Position) String() string { return strconv.FormatUint(uint64(p), 10) }

// ParsePosition parses the text that String returns. Its error is that of strconv.ParseUint.
func ParsePosition(text string) (Position, error) {
	n, err := strconv.ParseUint(text, 10, 64)
	return Position(n), err
}

// Event is an event to append.
type Event struct {
	// ID is chosen by the writer. Together with the stream and the revision, it identifies a repeated append.
	ID uuid.UUID
	// Type is the stored name with its version, such as "machine.came-online/v1".
	Type string
	// Time is the wall clock of the writer, in UTC and truncated to microseconds. It is for display; order never
	// depends on it.
	Time time.Time
	// Command is the id of the command that caused the event, chosen by its sender. It is the zero id for events that
	// a server decided by itself.
	Command uuid.UUID
	// Causes are the ids of the events that led to this one. It may be empty.
	Causes []uuid.UUID
	// Data is one JSON object.
	Data json.RawMessage
}

// Recorded is an event as it is stored in the log.
type Recorded struct {
	Event
	Stream   string
	Revision Revision
	Position Position
}

// Appended is the result of a successful append.
type Appended struct {
	// Revision is the revision of the last event of the append.
	Revision Revision
	// Position is the position of the last event of the append.
	Position Position
	// Repeat reports that the same ids were already stored at the same expected revision. A successful result therefore
	// does not prove that this call stored the events.
	Repeat bool
}

// Checker is implemented by a log that can lose its place while it is open, for example because its file was deleted.
type Checker interface {
	// Check returns an error if the log refuses appends until a person acts.
	Check(ctx context.Context) error
}

// Log is an append-only, totally ordered log of events in streams.
//
// Every method may return an error that wraps ErrUnavailable (the backend cannot be reached or refuses to work now; a
// later retry may succeed), or the error of the context. All methods are safe for concurrent use.
type Log interface {
	// Append adds events to the end of stream, all or none. The stream must end at expected, or be empty for
	// NoStream. Append returns
	//   - *Conflict if the stream ends elsewhere;
	//   - ErrUnknownOutcome if it is unknown whether the events were stored: append the same events at the same expected
	//     revision again to find out;
	//   - ErrTooLarge if the append exceeds a limit;
	//   - ErrInvalid if an event or the name of the stream is invalid.
	Append(ctx context.Context, stream string, expected Revision, events ...Event) (Appended, error)

	// ReadStream yields at most limit events of stream in order, starting at revision from. A limit of 0 means no
	// limit. A stream that does not exist yields nothing. An error ends the sequence. A damaged event yields an error
	// that wraps ErrDamaged.
	ReadStream(ctx context.Context, stream string, from Revision, limit int) iter.Seq2[Recorded, error]

	// ReadAll yields at most limit events in log order, starting after position after. A limit of 0 means no limit.
	// It includes at least the events that were in the log when the read began.
	ReadAll(ctx context.Context, after Position, limit int) iter.Seq2[Recorded, error]

	// Head returns the position of the last event, or 0 if the log is empty.
	Head(ctx context.Context) (Position, error)

	// ID returns the id that the log received when it was created. A restored log receives a new id.
	ID(ctx context.Context) (uuid.UUID, error)

	// Close ends all calls and releases the resources of the log. It may be called more than once.
	Close() error
}
