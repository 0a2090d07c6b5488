package eventlog

import (
	"context"
	"time"

	"github.com/google/uuid"
)

// Seen is an event that a reader has seen in a log. A log that does not have it has lost events.
type Seen struct {
	// Log is the id that the log had at that time. A restored log has another id.
	Log uuid.UUID
	// Position is the position of the event, and Before that of the previous event, or 0.
	Before, Position Position
	// ID and Time are those of the event. After a restore, the ids of some events can recur.
	ID   uuid.UUID
	Time time.Time
}

// Has reports whether log has the event. It looks at the event's position first. If another event is there, it reads
// the whole log, because an import can move events to other positions.
func (s Seen) Has(ctx context.Context, log Log) (bool, error) {
	found, err := s.among(ctx, log, s.Before, 1)
	if found || err != nil {
		return found, err
	}
	return s.among(ctx, log, 0, 0)
}

// among reports whether the event is one of the events that ReadAll returns.
func (s Seen) among(ctx context.Context, log Log, after Position, limit int) (bool, error) {
	for rec, err := range log.ReadAll(ctx, after, limit) {
		if err != nil || rec.ID == s.ID && rec.Time.Equal(s.Time) {
			return err == nil, err
		}
	}
	return false, nil
}
