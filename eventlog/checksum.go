package eventlog

import (
	"crypto/sha256"
	"encoding/hex"
	"strconv"
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
	buffer := append(make([]byte, 0, 512), stream...)
	buffer = strconv.AppendInt(append(buffer, 0), int64(revision), 10)
	buffer = append(append(buffer, 0), event.ID.String()...)
	buffer = append(append(buffer, 0), event.Type...)
	buffer = append(append(buffer, 0), event.Data...)
	sum := sha256.Sum256(buffer)
	return hex.EncodeToString(sum[:16])
}
