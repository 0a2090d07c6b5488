package sqlite

import (
	"database/sql"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/droverhq/drover/eventlog"
)

// timeLayout is RFC 3339 with all six digits, so that texts sort like times.
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

// separator stands between the texts of a row in what columns yields. Names hold no
// control character, and data, which might if the file is damaged, comes last.
const separator = "\x1f"

// scan reads one event off rows and compares it with its checksum.
func scan(rows *sql.Rows) (eventlog.Recorded, error) {
	var found eventlog.Recorded
	var joined string
	if err := rows.Scan(&found.Position, &found.Revision, &joined); err != nil {
		return eventlog.Recorded{}, explain(err)
	}
	texts := strings.SplitN(joined, separator, 8)
	if len(texts) < 8 {
		return eventlog.Recorded{}, fmt.Errorf("%w: position %s lacks a part; restore a backup", eventlog.ErrDamaged, found.Position)
	}
	found.Stream = texts[0]
	r := row{id: texts[1], typ: texts[2], time: texts[3], command: texts[4], causes: texts[5], checksum: texts[6], data: texts[7]}
	err := r.decode(&found.Event)
	if err == nil && eventlog.Checksum(found.Stream, found.Revision, found.Event) != r.checksum {
		err = fmt.Errorf("it does not match its checksum %s", r.checksum)
	}
	if err != nil {
		return eventlog.Recorded{}, fmt.Errorf("%w: stream %s, revision %d, position %s: %w; restore a backup",
			eventlog.ErrDamaged, found.Stream, found.Revision, found.Position, err)
	}
	return found, nil
}

func (r row) decode(event *eventlog.Event) (err error) {
	if event.ID, err = uuid.Parse(r.id); err != nil {
		return fmt.Errorf("id %q: %w", r.id, err)
	}
	if event.Time, err = time.Parse(time.RFC3339Nano, r.time); err != nil {
		return err
	}
	if r.command != "" {
		if event.Command, err = uuid.Parse(r.command); err != nil {
			return fmt.Errorf("command %q: %w", r.command, err)
		}
	}
	if r.causes != "[]" {
		if err := json.Unmarshal([]byte(r.causes), &event.Causes); err != nil {
			return fmt.Errorf("causes: %w", err)
		}
	}
	event.Type, event.Data = r.typ, json.RawMessage(r.data)
	return nil
}
