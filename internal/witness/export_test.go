package witness

import (
	"encoding/json"

	"github.com/google/uuid"

	"github.com/droverhq/drover/eventlog"
)

// Texts returns the JSON of a record as it is written, and as encoding/json would write it.
func Texts(made uuid.UUID, file string, s eventlog.Seen) (written, expected []byte, err error) {
	r := record{Format: format, Made: made, Log: s.Log, File: file, Before: s.Before, Position: s.Position, Event: s.ID,
		Time: s.Time}
	if written, err = r.appendTo(nil); err != nil {
		return nil, nil, err
	}
	expected, err = json.Marshal(r)
	return written, expected, err
}

// NewerFile returns the content of a file that a newer version wrote.
func NewerFile(made uuid.UUID) []byte {
	slot, err := record{Format: format + 1, Made: made}.encode(nil)
	if err != nil {
		panic(err) // the record is constant
	}
	return append(slot, slot...)
}
