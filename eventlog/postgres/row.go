package postgres

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

	"github.com/droverhq/drover/eventlog"
)

// arguments returns the arguments of the function append for batch: arrays with one element per append, then arrays
// with one element per event.
func arguments(log uuid.UUID, batch []*request) []any {
	n := 0
	for _, r := range batch {
		n += len(r.events)
	}
	streams, expected, sizes := make([]string, len(batch)), make([]int64, len(batch)), make([]int64, len(batch))
	owners, nths, times := make([]int64, 0, n), make([]int64, 0, n), make([]time.Time, 0, n)
	types, causes, datas, checksums := make([]string, 0, n), make([]string, 0, n), make([]string, 0,
		n), make([]string, 0, n)
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
	return []any{uuidOf(log), streams, expected, sizes, owners, nths, ids, types, times, commands, causes, datas,
		checksums}
}

// encodeCauses encodes ids as the text of an array, because PostgreSQL does not support arrays of arrays with
// different lengths.
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

// reply is the server's answer to one append.
type reply struct {
	actual  eventlog.Revision // the last revision of the stream before the append
	written bool
	place   eventlog.Position // position of its last event, written or found
	found   []uuid.UUID       // the ids after the expected revision, if it was not written
}

// scanReplies reads the replies to batch from the row that the function append returns.
func scanReplies(row pgx.Row, batch []*request) ([]reply, error) {
	var lasts []int64
	var places []*int64
	var owners, foundPlaces []int64
	var ids pgtype.FlatArray[pgtype.UUID]
	switch err := row.Scan(&lasts, &places, &owners, &ids, &foundPlaces); {
	case errors.Is(err, pgx.ErrNoRows):
		return nil, &notSent{errMigrated} // the function was not called
	case err != nil:
		return nil, err
	}
	if len(lasts) != len(batch) || len(places) != len(batch) {
		return nil, newFault(eventlog.ErrForeign, "the server answered %d of %d appends", len(lasts), len(batch))
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

// retry reports that the append is valid, but another append of the same batch to the stream was first.
func (r reply) retry(req *request) bool { return !r.written && r.actual == req.expected }

// result returns the answer to an append that needs no retry.
func (r reply) result(req *request) answer {
	repeat := false
	if !r.written {
		var conflict error
		repeat, conflict = eventlog.IsRepeat(req.stream, req.expected, r.actual, req.events, r.found)
		if conflict != nil {
			return answer{err: conflict}
		}
	}
	last := req.expected + eventlog.Revision(len(req.events))
	return answer{appended: eventlog.Appended{Revision: last, Position: r.place, Repeat: repeat}}
}

// scan reads one row of a page: the head of the log, the last place of the read, and an event if found is true. It
// compares the event with its checksum.
func scan(rows pgx.Rows) (event eventlog.Recorded, head, last int64, found bool, err error) {
	if rows.RawValues()[2] == nil {
		skip := []any{&head, &last, nil, nil, nil, nil, nil, nil, nil, nil, nil, nil}
		return event, head, last, false, rows.Scan(skip...)
	}
	var id, command pgtype.UUID
	var causes pgtype.FlatArray[pgtype.UUID]
	var checksum string
	var data []byte
	err = rows.Scan(&head, &last, &event.Position, &event.Stream, &event.Revision, &id, &event.Type, &event.Time,
		&command, &causes, &data, &checksum)
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
		err = fmt.Errorf("%w: stream %s, revision %d, position %s: content does not match its checksum %s; restore a backup",
			eventlog.ErrDamaged, event.Stream, event.Revision, event.Position, checksum)
	}
	return event, head, last, true, err
}
