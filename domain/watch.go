package domain

import "time"

// Commands on the watch stream.
type (
	// ClearStream makes a stream that is set aside continue without the event that could not be folded.
	ClearStream struct {
		Name string `json:"name"`
		Origin
	}
	// AcceptRestore confirms that the log with the id Was was restored from a backup and has lost its newest events.
	AcceptRestore struct {
		Was ID        `json:"was"`
		At  time.Time `json:"-"` // left out of the content, so that a repeated command is the same command
		Origin
	}
)

// Stream returns the watch stream.
func (c ClearStream) Stream(World) string { return WatchStream }

// Stream returns the watch stream.
func (c AcceptRestore) Stream(World) string { return WatchStream }

// Decide clears the stream. It rejects a stream that is not set aside.
func (c ClearStream) Decide(w World) ([]Event, *Rejection) {
	if _, aside := w.SetAside(c.Name); !aside {
		return nil, notFound("stream %.120q is not set aside", c.Name).hint("`/readyz` lists the streams that are set aside")
	}
	return []Event{StreamCleared{Stream: c.Name, Origin: c.Origin}}, nil
}

// Decide accepts the restore unless it was already accepted.
func (c AcceptRestore) Decide(w World) ([]Event, *Rejection) {
	if w.Restored(c.Was) {
		return nil, nil
	}
	return []Event{LogRestored{Was: c.Was, At: c.At.UTC().Truncate(time.Microsecond), Origin: c.Origin}}, nil
}
