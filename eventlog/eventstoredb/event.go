package eventstoredb

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/EventStore/EventStore-Client-Go/v4/esdb"
	"github.com/google/uuid"

	"github.com/droverhq/drover/eventlog"
)

// envelope is the metadata of an event. The id and the type have their own fields in the protocol.
type envelope struct {
	Time     time.Time   `json:"time"`
	Command  *uuid.UUID  `json:"command,omitempty"`
	Causes   []uuid.UUID `json:"causes,omitempty"`
	Checksum string      `json:"checksum"`
	// Append is a random mark for each call of Append. The server confirms a write and its repetition alike; the mark
	// shows which call wrote the events.
	Append uuid.UUID `json:"append"`
}

// encode converts an event for the client.
func encode(stream string, revision eventlog.Revision, event eventlog.Event, call uuid.UUID) (esdb.EventData, error) {
	e := envelope{Time: event.Time, Causes: event.Causes, Checksum: eventlog.Checksum(stream, revision, event),
		Append: call}
	if event.Command != uuid.Nil {
		e.Command = &event.Command
	}
	metadata, err := json.Marshal(e)
	if err != nil {
		return esdb.EventData{}, err
	}
	return esdb.EventData{
		EventID: event.ID, EventType: event.Type, ContentType: esdb.ContentTypeJson, Data: event.Data,
		Metadata: metadata,
	}, nil
}

// decode converts an event from the server and verifies its checksum.
func (n names) decode(resolved *esdb.ResolvedEvent) (eventlog.Recorded, envelope, error) {
	if resolved == nil || resolved.Event == nil {
		return eventlog.Recorded{}, envelope{}, fmt.Errorf("%w: the server sent an event without content",
			eventlog.ErrDamaged)
	}
	held := resolved.Event
	found := eventlog.Recorded{
		Stream:   strings.TrimPrefix(held.StreamID, n.events),
		Revision: eventlog.Revision(held.EventNumber),
		Position: eventlog.Position(held.Position.Commit),
	}
	found.ID, found.Type, found.Data = held.EventID, held.EventType, held.Data
	var e envelope
	err := json.Unmarshal(held.UserMetadata, &e)
	if err == nil {
		found.Time, found.Causes = e.Time, e.Causes
		if e.Command != nil {
			found.Command = *e.Command
		}
		err = check(held, found, e)
	}
	if err != nil {
		return eventlog.Recorded{}, e, fmt.Errorf("%w: stream %s, revision %d, position %s: %w; restore a backup",
			eventlog.ErrDamaged, found.Stream, found.Revision, found.Position, err)
	}
	return found, e, nil
}

// check verifies the checksum of an event and its position. An event that was appended over gRPC has its own commit
// position, which equals its prepare position.
func check(held *esdb.RecordedEvent, found eventlog.Recorded, e envelope) error {
	if eventlog.Checksum(found.Stream, found.Revision, found.Event) != e.Checksum {
		return fmt.Errorf("content does not match its checksum %q", e.Checksum)
	}
	if held.Position.Commit != held.Position.Prepare || int64(held.Position.Commit) < 0 {
		return fmt.Errorf("position %d/%d is invalid: commit and prepare position of an event must be equal",
			held.Position.Commit, held.Position.Prepare)
	}
	return nil
}

// names returns the stream names of one log.
type names struct {
	// log is the name of the log.
	log string
	// events is the common prefix of the log's event streams.
	events string
}

func namesOf(log string) names { return names{log: log, events: "drover." + log + "."} }

// The auxiliary streams have no dot after "drover", so the prefix filter for a log's events never matches them.

func (n names) identity() string              { return "drover-log." + n.log }
func (n names) leaseDirectory() string        { return "drover-leases." + n.log }
func (n names) lease(server uuid.UUID) string { return "drover-lease." + n.log + "." + server.String() }
func (n names) outputDirectory() string       { return "drover-outputs." + n.log }
func (n names) output(p part) string {
	return "drover-output." + n.log + "." + p.Deployment.String() + "." + p.Machine
}

func (n names) itemDirectory(c eventlog.Collection) string {
	return "drover-items." + n.log + "." + string(c)
}

func (n names) item(c eventlog.Collection, key string) string {
	return "drover-item." + n.log + "." + string(c) + "." + key
}
