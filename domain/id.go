package domain

import (
	"encoding/hex"
	"fmt"
	"time"
)

// ID is a UUID that identifies an event, a command, an instance, a session or a server. A deployment has the id of its
// DeploymentQueued event.
type ID [16]byte

// IsZero reports whether id is the zero id.
func (id ID) IsZero() bool { return id == ID{} }

// String returns id as 8-4-4-4-12 lower-case hex digits.
func (id ID) String() string {
	var b [36]byte
	hex.Encode(b[0:8], id[0:4])
	hex.Encode(b[9:13], id[4:6])
	hex.Encode(b[14:18], id[6:8])
	hex.Encode(b[19:23], id[8:10])
	hex.Encode(b[24:36], id[10:16])
	b[8], b[13], b[18], b[23] = '-', '-', '-', '-'
	return string(b[:])
}

// ParseID parses the format of String, in lower or upper case.
func ParseID(text string) (ID, error) { return parseID(text) }

// digits are the offsets of the two digits of each byte in the text of an id.
var digits = [16]int{0, 2, 4, 6, 9, 11, 14, 16, 19, 21, 24, 26, 28, 30, 32, 34}

// parseID implements ParseID for strings and byte slices, so that neither needs a conversion.
func parseID[T string | []byte](text T) (id ID, err error) {
	ok := len(text) == 36 && text[8] == '-' && text[13] == '-' && text[18] == '-' && text[23] == '-'
	for i := 0; ok && i < len(id); i++ {
		high, low := hexDigit(text[digits[i]]), hexDigit(text[digits[i]+1])
		ok = high|low <= 0xf
		id[i] = high<<4 | low
	}
	if !ok {
		return ID{}, fmt.Errorf("invalid id %.40q: use 8-4-4-4-12 hex digits", text)
	}
	return id, nil
}

// hexDigit returns the value of a hex digit in either case, and 0xff for any other byte.
func hexDigit(b byte) byte {
	switch {
	case '0' <= b && b <= '9':
		return b - '0'
	case 'a' <= b && b <= 'f':
		return b - 'a' + 10
	case 'A' <= b && b <= 'F':
		return b - 'A' + 10
	}
	return 0xff
}

// MarshalText encodes id like String, except that the zero id is empty.
func (id ID) MarshalText() ([]byte, error) {
	if id.IsZero() {
		return nil, nil
	}
	return []byte(id.String()), nil
}

// UnmarshalText parses the format of MarshalText.
func (id *ID) UnmarshalText(text []byte) error {
	if len(text) == 0 {
		*id = ID{}
		return nil
	}
	v, err := ParseID(string(text))
	*id = v
	return err
}

// Duration is a time.Duration with a text encoding such as "30s" or "1h0m0s".
type Duration time.Duration

// String formats d like time.Duration.
func (d Duration) String() string { return time.Duration(d).String() }

// MarshalText formats d like time.Duration.
func (d Duration) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

// UnmarshalText parses text like time.ParseDuration.
func (d *Duration) UnmarshalText(text []byte) error {
	v, err := time.ParseDuration(string(text))
	*d = Duration(v)
	return err
}
