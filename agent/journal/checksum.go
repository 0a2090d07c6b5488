package journal

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"strings"
)

// noChecksum takes the place of a checksum while the checksum is computed.
var noChecksum = strings.Repeat("0", hex.EncodedLen(sha256.Size))

// sealed returns v as JSON with a checksum. The value of v's field for the checksum must be noChecksum, and the field
// must precede any text from outside. The checksum covers each byte of the file. A newer version of drover can
// therefore add fields, and this version still detects damage.
func sealed(v any) ([]byte, error) {
	content, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return nil, err
	}
	content = append(content, '\n')
	return bytes.Replace(content, []byte(noChecksum), []byte(sumOf(content)), 1), nil
}

// checkSeal returns an error if the content of a file does not match its checksum.
func checkSeal(content []byte, checksum string) error {
	if sumOf(bytes.Replace(content, []byte(checksum), []byte(noChecksum), 1)) != checksum {
		return errors.New("its content does not match its checksum")
	}
	return nil
}

func sumOf(content []byte) string {
	sum := sha256.Sum256(content)
	return hex.EncodeToString(sum[:])
}
