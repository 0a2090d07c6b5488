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

// Revision is a place in one stream, counted from 0.
type Revision int64

// NoStream is the expected revision of a stream that has no event yet.
const NoStream Revision = -1

// Position is a place in the whole log. It is opaque: it rises strictly within
// one log, says nothing across two logs, and is never written inside event data.
// The zero Position lies before the first event.
type Position uint64

// String writes p as the decimal text that doors hand out.
func (p Position) String() string { return strconv.FormatUint(uint64(p), 10) }

// ParsePosition reads what String wrote. It returns strconv's error otherwise.
func ParsePosition(text string) (Position, error) {
	n, err := strconv.ParseUint(text, 10, 64)
	return Position(n), err
}

// Event is a fact on its way into the log.
type Event struct {
	// ID is chosen by the writer; with stream and revision it makes a repeat recognisable.
	ID uuid.UUID
	// Type is the hand-written on-disk name with its version, such as "machine.came-online/v1".
	Type string
	// Time is the writer's wall clock, UTC, cut to microseconds. It is shown, never used for order.
	Time time.Time
	// Command is the id that the sender of the causing command chose; the zero id for decisions.
	Command uuid.UUID
	// Causes are the ids of the events that led to this one; may be empty.
	Causes []uuid.UUID
	// Data is one JSON object.
	Data json.RawMessage
}

// Recorded is an event as the log holds it.
type Recorded struct {
	Event
	Stream   string
	Revision Revision
	Position Position
}

// Appended is the answer to an append that is in the log.
type Appended struct {
	// Revision is that of the last event of the append.
	Revision Revision
	// Position is that of the last event of the append.
	Position Position
	// Repeat says that these ids were in the log already, at this very expected revision.
	// A writer can therefore not conclude from success that it was the one who won.
	Repeat bool
}

// Log is one append-only, totally ordered log of events in streams.
//
// Every method may return an error that wraps ErrUnavailable (the backend cannot be
// reached or refuses to work now; trying later can help) or the context's error.
// Methods may be called from many goroutines.
type Log interface {
	// Append writes all events or none at the end of stream, which must stand at
	// expected (NoStream for an empty one). It returns *Conflict if the stream stands
	// elsewhere, ErrUnknownOutcome if nobody can say whether the events were written
	// (append the same events at the same expected revision again to find out),
	// ErrTooLarge beyond the limits above, and ErrInvalid for an event that no log takes.
	Append(ctx context.Context, stream string, expected Revision, events ...Event) (Appended, error)

	// ReadStream yields at most limit events of stream from revision from on, in order;
	// limit 0 is no limit. A stream that does not exist yields nothing. After an error
	// it yields nothing more. A damaged event is yielded as an error that wraps ErrDamaged.
	ReadStream(ctx context.Context, stream string, from Revision, limit int) iter.Seq2[Recorded, error]

	// ReadAll yields at most limit events after position after, exclusive, in log order;
	// limit 0 is no limit. It ends at the head that stood when it began, or later.
	ReadAll(ctx context.Context, after Position, limit int) iter.Seq2[Recorded, error]

	// Head returns the position of the last event, 0 for an empty log.
	Head(ctx context.Context) (Position, error)

	// ID returns the id that this log got when it was made; a restored log gets a new one.
	ID(ctx context.Context) (uuid.UUID, error)

	// Close ends all calls and frees what the log holds. It may be called twice.
	Close() error
}
