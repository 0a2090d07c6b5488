package witness

import "github.com/google/uuid"

// NewerFile returns the content of a file that a newer version wrote.
func NewerFile(made uuid.UUID) []byte {
	slot, err := record{Format: format + 1, Made: made}.encode()
	if err != nil {
		panic(err) // the record is constant
	}
	return append(slot, slot...)
}
