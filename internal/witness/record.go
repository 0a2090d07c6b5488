package witness

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/google/uuid"

	"github.com/droverhq/drover/eventlog"
)

// format is the version of a record. A record of a higher version was written by a newer drover.
const format = 1

// slotBytes is the space for one record. It is the size of a block on most file systems, so that an interrupted write
// of one record cannot damage the other.
const slotBytes = 4096

// slots is the number of records in a file.
const slots = 2

// record is the content of one slot.
type record struct {
	Format int `json:"format"`
	// Made is the id with which the log was created, and Log its id when the event was read.
	Made uuid.UUID `json:"made"`
	Log  uuid.UUID `json:"log"`
	// File is the base name of the log's file; empty if the log is not a file.
	File     string            `json:"file,omitempty"`
	Before   eventlog.Position `json:"before,string"`
	Position eventlog.Position `json:"position,string"`
	Event    uuid.UUID         `json:"event"`
	Time     time.Time         `json:"time"`
}

// line is the text of a slot. The checksum covers Seen.
type line struct {
	Seen     json.RawMessage `json:"seen"`
	Checksum string          `json:"checksum"`
}

func (r record) seen() eventlog.Seen {
	return eventlog.Seen{Log: r.Log, Before: r.Before, Position: r.Position, ID: r.Event, Time: r.Time}
}

// encode returns the content of a slot. It reuses the memory of an earlier slot.
func (r record) encode(slot []byte) ([]byte, error) {
	slot = append(slot[:0], `{"seen":`...)
	begin := len(slot)
	slot, err := r.appendTo(slot)
	if err != nil {
		return nil, err
	}
	slot = append(append(append(slot, `,"checksum":"`...), sumOf(slot[begin:])...), `"}`...)
	if len(slot) >= slotBytes {
		return nil, fmt.Errorf("the record has %d bytes: at most %d fit", len(slot), slotBytes-1)
	}
	slot = append(slot, padding[len(slot):]...)
	return slot, nil
}

// appendTo appends the JSON of the record. A record is written after each read, and encoding/json would take most of the
// time.
func (r record) appendTo(text []byte) ([]byte, error) {
	text = append(strconv.AppendInt(append(text, `{"format":`...), int64(r.Format), 10), `,"made":"`...)
	text = append(append(append(text, r.Made.String()...), `","log":"`...), r.Log.String()...)
	text = append(text, `",`...)
	if r.File != "" {
		file, err := json.Marshal(r.File)
		if err != nil {
			return nil, err
		}
		text = append(append(append(text, `"file":`...), file...), ',')
	}
	text = strconv.AppendUint(append(text, `"before":"`...), uint64(r.Before), 10)
	text = strconv.AppendUint(append(text, `","position":"`...), uint64(r.Position), 10)
	text = append(append(append(text, `","event":"`...), r.Event.String()...), `","time":"`...)
	text = r.Time.AppendFormat(text, time.RFC3339Nano)
	return append(text, `"}`...), nil
}

// padding fills a slot.
var padding = append(bytes.Repeat([]byte{' '}, slotBytes-1), '\n')

func sumOf(seen []byte) string {
	sum := sha256.Sum256(seen)
	return hex.EncodeToString(sum[:16])
}

// errNewer means that a record was written by a newer version of drover.
var errNewer = errors.New("a newer version of drover wrote it")

// errEmpty means that a slot was never written.
var errEmpty = errors.New("it is empty")

// decode returns the record in a slot of the file of a log.
func decode(slot []byte, made uuid.UUID) (r record, err error) {
	text := bytes.Trim(slot, " \n\x00")
	if len(text) == 0 {
		return r, errEmpty
	}
	var l line
	if err := json.Unmarshal(text, &l); err != nil {
		return r, err
	}
	if sumOf(l.Seen) != l.Checksum {
		return r, errors.New("its content does not match its checksum")
	}
	if err := json.Unmarshal(l.Seen, &r); err != nil {
		return r, err
	}
	switch {
	case r.Format > format:
		return r, errNewer
	case r.Made != made:
		return r, fmt.Errorf("it belongs to log %s", r.Made)
	}
	return r, nil
}

// decodeFile returns the valid records in the content of a file, and the error of each slot that has none. An empty slot
// is not an error.
func decodeFile(content []byte, made uuid.UUID) (found []record, err error) {
	for i := range slots {
		start := min(i*slotBytes, len(content))
		r, damage := decode(content[start:min(start+slotBytes, len(content))], made)
		switch {
		case damage == nil:
			found = append(found, r)
		case !errors.Is(damage, errEmpty):
			err = errors.Join(err, fmt.Errorf("record %d: %w", i+1, damage))
		}
	}
	return found, err
}
