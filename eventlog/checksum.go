package eventlog

import (
	"crypto/sha256"
	"encoding/hex"
	"strconv"

	"github.com/google/uuid"
)

// Checksum returns the checksum that a backend stores with an event and compares on every read. It covers the stream,
// the revision, the id, the type and the canonical data. It is the same on every backend and survives an export and
// an import, so it does not cover the position. It protects against corruption and mistakes, not against an attacker
// who can write to the store.
//
// event.Data must already be canonical. The result has 32 hexadecimal digits: the first half of a SHA-256 over the
// parts, separated by zero bytes, which no part contains.
func Checksum(stream string, revision Revision, event Event) string {
	text := checksum(stream, revision, event)
	return string(text[:])
}

// MatchesChecksum reports whether sum is the Checksum of the event. It allocates less than Checksum, for readers that
// verify many events.
func MatchesChecksum(sum []byte, stream string, revision Revision, event Event) bool {
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

// appendID appends the text of id.String without allocating it.
func appendID(buffer []byte, id uuid.UUID) []byte {
	for i, b := range id {
		if i == 4 || i == 6 || i == 8 || i == 10 {
			buffer = append(buffer, '-')
		}
		buffer = hex.AppendEncode(buffer, []byte{b})
	}
	return buffer
}
