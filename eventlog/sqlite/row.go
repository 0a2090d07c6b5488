package sqlite

import (
	"bytes"
	"database/sql/driver"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/droverhq/drover/eventlog"
)

// timeLayout is RFC 3339 with exactly six digits, so that texts sort by time.
const timeLayout = "2006-01-02T15:04:05.000000Z"

// row is an event as the texts of its columns.
type row struct {
	id, typ, time, command, causes, data, checksum string
}

func encode(stream string, revision eventlog.Revision, event eventlog.Event) row {
	encoded := row{
		id:       event.ID.String(),
		typ:      event.Type,
		time:     event.Time.Format(timeLayout),
		causes:   encodeCauses(event.Causes),
		data:     string(event.Data),
		checksum: eventlog.Checksum(stream, revision, event),
	}
	if event.Command != uuid.Nil {
		encoded.command = event.Command.String()
	}
	return encoded
}

func encodeCauses(causes []uuid.UUID) string {
	var text strings.Builder
	text.WriteByte('[')
	for i, cause := range causes {
		if i > 0 {
			text.WriteByte(',')
		}
		text.WriteByte('"')
		text.WriteString(cause.String())
		text.WriteByte('"')
	}
	text.WriteByte(']')
	return text.String()
}

// separator separates the texts of a row in the result of columns. Names contain no control characters. Data, which
// may contain one if the file is damaged, comes last.
var separator = []byte{0x1f}

// found holds the parts of a row. They share memory, of which an event retains only data.
type found struct {
	stream, id, typ, time, command, causes, checksum, data []byte
}

// split separates the parts that columns joined. whole is false if a part is missing.
func split(joined []byte) (parts found, whole bool) {
	for _, part := range []*[]byte{&parts.stream, &parts.id, &parts.typ, &parts.time, &parts.command, &parts.causes,
		&parts.checksum} {
		if *part, joined, whole = bytes.Cut(joined, separator); !whole {
			return found{}, false
		}
	}
	parts.data = joined
	return parts, true
}

// scan reads one event from a row and compares it with its checksum.
func scan(row []driver.Value) (event eventlog.Recorded, err error) {
	position, _ := row[0].(int64)
	revision, _ := row[1].(int64)
	joined, _ := row[2].([]byte)
	event.Position, event.Revision = eventlog.Position(position), eventlog.Revision(revision)
	parts, whole := split(joined)
	if !whole {
		return eventlog.Recorded{}, fmt.Errorf("%w: the event at position %s is incomplete; restore a backup",
			eventlog.ErrDamaged, event.Position)
	}
	event.Stream = string(parts.stream)
	err = parts.decode(&event.Event)
	if err == nil && !eventlog.MatchesChecksum(parts.checksum, event.Stream, event.Revision, event.Event) {
		err = fmt.Errorf("content does not match its checksum %s", parts.checksum)
	}
	if err != nil {
		return eventlog.Recorded{}, fmt.Errorf("%w: stream %s, revision %d, position %s: %w; restore a backup",
			eventlog.ErrDamaged, event.Stream, event.Revision, event.Position, err)
	}
	return event, nil
}

func (f found) decode(event *eventlog.Event) (err error) {
	if event.ID, err = uuid.ParseBytes(f.id); err != nil {
		return fmt.Errorf("id %q: %w", f.id, err)
	}
	if event.Time, err = time.Parse(time.RFC3339Nano, string(f.time)); err != nil {
		return err
	}
	if len(f.command) > 0 {
		if event.Command, err = uuid.ParseBytes(f.command); err != nil {
			return fmt.Errorf("command %q: %w", f.command, err)
		}
	}
	if string(f.causes) != "[]" {
		if err := json.Unmarshal(f.causes, &event.Causes); err != nil {
			return fmt.Errorf("causes: %w", err)
		}
	}
	event.Type, event.Data = string(f.typ), json.RawMessage(f.data)
	return nil
}
