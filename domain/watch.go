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
		// Lost are later ids that agents and servers remember. The log had them until it was restored to a state from
		// before an accepted restore. They are left out of the content too.
		Lost []ID `json:"-"`
		// Except are machines that stay doubted.
		Except []string `json:"except,omitempty"`
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

// Decide accepts the restore unless it was already accepted. The last event gives the log its new id. The events before
// it make the lost ids former ids of this log.
func (c AcceptRestore) Decide(w World) ([]Event, *Rejection) {
	if w.Restored(c.Was) {
		return nil, nil
	}
	for _, name := range c.Except {
		if w.Machine(name) == nil {
			return nil, machineNotFound(name)
		}
	}
	var events []Event
	accept := func(was ID) {
		events = append(events, LogRestored{Was: was, At: c.At.UTC().Truncate(time.Microsecond), Except: SortedUnique(c.Except),
			Origin: c.Origin})
	}
	for _, id := range c.Lost {
		if id != c.Was && !w.Restored(id) {
			accept(id)
		}
	}
	accept(c.Was)
	return events, nil
}
