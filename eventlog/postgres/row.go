package postgres

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

	"github.com/droverhq/drover/eventlog"
)

// arguments are the columns of batch for the function append: one element an append in
// the first, one element an event in the others.
func arguments(log uuid.UUID, batch []*request) []any {
	n := 0
	for _, r := range batch {
		n += len(r.events)
	}
	streams, expected, sizes := make([]string, len(batch)), make([]int64, len(batch)), make([]int64, len(batch))
	owners, nths, times := make([]int64, 0, n), make([]int64, 0, n), make([]time.Time, 0, n)
	types, causes, datas, checksums := make([]string, 0, n), make([]string, 0, n), make([]string, 0, n), make([]string, 0, n)
	ids, commands := make(pgtype.FlatArray[pgtype.UUID], 0, n), make(pgtype.FlatArray[pgtype.UUID], 0, n)
	for nr, r := range batch {
		streams[nr], expected[nr], sizes[nr] = r.stream, int64(r.expected), int64(len(r.events))
		checksums = append(checksums, r.checksums...)
		for i, event := range r.events {
			owners = append(owners, int64(nr+1))
			nths = append(nths, int64(i+1))
			ids = append(ids, uuidOf(event.ID))
			commands = append(commands, pgtype.UUID{Bytes: event.Command, Valid: event.Command != uuid.Nil})
			types = append(types, event.Type)
			times = append(times, event.Time)
			causes = append(causes, encodeCauses(event.Causes))
			datas = append(datas, string(event.Data))
		}
	}
	return []any{uuidOf(log), streams, expected, sizes, owners, nths, ids, types, times, commands, causes, datas, checksums}
}

// encodeCauses writes ids as the text of an array, because PostgreSQL has no array of
// arrays of different lengths.
func encodeCauses(causes []uuid.UUID) string {
	if len(causes) == 0 {
		return "{}"
	}
	var text strings.Builder
	for i, cause := range causes {
		text.WriteByte("{,"[min(i, 1)])
		text.WriteString(cause.String())
	}
	text.WriteByte('}')
	return text.String()
}

// reply is what the server says of one append.
type reply struct {
	actual  eventlog.Revision // where the stream stood before
	written bool
	place   eventlog.Position // of its last event, written or found
	found   []uuid.UUID       // the ids behind the expected revision, if it was not written
}

// scanReplies reads the replies to batch off the one row of the function append.
func scanReplies(row pgx.Row, batch []*request) ([]reply, error) {
	var lasts []int64
	var places []*int64
	var owners, foundPlaces []int64
	var ids pgtype.FlatArray[pgtype.UUID]
	if err := row.Scan(&lasts, &places, &owners, &ids, &foundPlaces); err != nil {
		return nil, err
	}
	if len(lasts) != len(batch) || len(places) != len(batch) {
		return nil, refuse(eventlog.ErrForeign, "the server answered %d of %d appends", len(lasts), len(batch))
	}
	replies := make([]reply, len(batch))
	for i := range replies {
		replies[i] = reply{actual: eventlog.Revision(lasts[i])}
		if places[i] != nil {
			replies[i].written, replies[i].place = true, eventlog.Position(*places[i])
		}
	}
	for i, owner := range owners {
		r := &replies[owner-1]
		r.found, r.place = append(r.found, ids[i].Bytes), eventlog.Position(foundPlaces[i])
	}
	return replies, nil
}

// again says that the append fits, but another of its batch to the same stream was first.
func (r reply) again(asked *request) bool { return !r.written && r.actual == asked.expected }

// judge is the answer to an append that is not to be asked for again.
func (r reply) judge(asked *request) answer {
	repeat := false
	if !r.written {
		var refusal error
		repeat, refusal = eventlog.IsRepeat(asked.stream, asked.expected, r.actual, asked.events, r.found)
		if refusal != nil {
			return answer{err: refusal}
		}
	}
	last := asked.expected + eventlog.Revision(len(asked.events))
	return answer{appended: eventlog.Appended{Revision: last, Position: r.place, Repeat: repeat}}
}

// scan reads one row of a page: where the log and what is read end, and, if found says
// so, an event, which is compared with its checksum.
func scan(rows pgx.Rows) (event eventlog.Recorded, head, last int64, found bool, err error) {
	if rows.RawValues()[2] == nil {
		skip := []any{&head, &last, nil, nil, nil, nil, nil, nil, nil, nil, nil, nil}
		return event, head, last, false, rows.Scan(skip...)
	}
	var id, command pgtype.UUID
	var causes pgtype.FlatArray[pgtype.UUID]
	var checksum string
	var data []byte
	err = rows.Scan(&head, &last, &event.Position, &event.Stream, &event.Revision, &id, &event.Type, &event.Time, &command, &causes, &data, &checksum)
	if err != nil {
		return event, 0, 0, false, err
	}
	event.ID, event.Command = id.Bytes, command.Bytes
	event.Time = event.Time.UTC()
	event.Data = json.RawMessage(data)
	for _, cause := range causes {
		event.Causes = append(event.Causes, cause.Bytes)
	}
	if eventlog.Checksum(event.Stream, event.Revision, event.Event) != checksum {
		err = fmt.Errorf("%w: stream %s, revision %d, position %s: it does not match its checksum %s; restore a backup",
			eventlog.ErrDamaged, event.Stream, event.Revision, event.Position, checksum)
	}
	return event, head, last, true, err
}
