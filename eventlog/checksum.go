package eventlog

import (
	"crypto/sha256"
	"encoding/hex"
	"strconv"

	"github.com/google/uuid"
)

// Checksum is what a backend stores beside an event and compares when it reads: it
// covers the stream, the revision, the id, the type and the canonical data, and is the
// same on every backend, so that it survives an export from one and an import into
// another. The position is left out for that reason. It guards against rot and slips,
// not against somebody who can write the store.
//
// event.Data must be canonical already. The result is 32 hexadecimal digits: the first
// half of a SHA-256 over the parts, each ended by a zero byte, which no part contains.
func Checksum(stream string, revision Revision, event Event) string {
	text := checksum(stream, revision, event)
	return string(text[:])
}

// Matches says whether sum is the Checksum of an event, for readers who compare one after another.
func Matches(sum []byte, stream string, revision Revision, event Event) bool {
	text := checksum(stream, revision, event)
	return string(sum) == string(text[:])
}

func checksum(stream string, revision Revision, event Event) (text [32]byte) {
	buffer := append(make([]byte, 0, 512), stream...)
	buffer = strconv.AppendInt(append(buffer, 0), int64(revision), 10)
	buffer = appendID(append(buffer, 0), event.ID)
	buffer = append(append(buffer, 0), event.Type...)
	buffer = append(append(buffer, 0), event.Data...)
	sum := sha256.Sum256(buffer)
	hex.Encode(text[:], sum[:16])
	return text
}

// appendID writes what id.String returns.
func appendID(buffer []byte, id uuid.UUID) []byte {
	for i, b := range id {
		if i == 4 || i == 6 || i == 8 || i == 10 {
			buffer = append(buffer, '-')
		}
		buffer = hex.AppendEncode(buffer, []byte{b})
	}
	return buffer
}
