package serverkey

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base32"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
)

// Prefix starts the text of a public key.
const Prefix = "dsk_"

// checkBytes is the number of bytes of the SHA-256 sum that follow the key in its text.
const checkBytes = 3

var encoding = base32.NewEncoding("abcdefghijklmnopqrstuvwxyz234567").WithPadding(base32.NoPadding)

// Public is the public half of a server key. The zero value is no key. Equal keys are equal values.
type Public struct{ key string }

// Parse parses the text of a public key. It accepts upper case too.
func Parse(text string) (Public, error) {
	encoded, ok := strings.CutPrefix(strings.ToLower(text), Prefix)
	if !ok {
		return Public{}, fmt.Errorf("invalid server key %.80q: it begins with %s", text, Prefix)
	}
	data, err := encoding.DecodeString(encoded)
	switch {
	case err != nil:
		return Public{}, fmt.Errorf("invalid server key %.80q: a character is not a letter or a digit from 2 to 7", text)
	case len(data) != ed25519.PublicKeySize+checkBytes:
		return Public{}, fmt.Errorf("invalid server key %.80q: it has %d characters, not %d", text, len(text), textLength)
	}
	public := Public{string(data[:ed25519.PublicKeySize])}
	if public.String() != strings.ToLower(text) {
		return Public{}, fmt.Errorf("invalid server key %.80q: its check digits do not match; was it copied completely?", text)
	}
	return public, nil
}

var textLength = len(Prefix) + encoding.EncodedLen(ed25519.PublicKeySize+checkBytes)

// String returns the text of the key, or an empty text for the zero value.
func (p Public) String() string {
	if p.IsZero() {
		return ""
	}
	sum := sha256.Sum256([]byte(p.key))
	return Prefix + encoding.EncodeToString(append([]byte(p.key), sum[:checkBytes]...))
}

// IsZero reports whether p is no key.
func (p Public) IsZero() bool { return p.key == "" }

// Verify reports whether signature is a signature of the parts for this purpose by the private half of p. It is false
// for the zero value.
func (p Public) Verify(signature []byte, purpose string, parts ...[]byte) bool {
	return !p.IsZero() && ed25519.Verify(ed25519.PublicKey(p.key), message(purpose, parts), signature)
}

// Key is a server key with its private half. The zero value is no key. Its text is that of the public half, so that no
// message contains the private one.
type Key struct{ private ed25519.PrivateKey }

// New creates a random key.
func New() (Key, error) {
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return Key{}, fmt.Errorf("create a server key: %w", err)
	}
	return Key{private}, nil
}

// ParseSecret parses the private half as Secret writes it. The error does not contain the text.
func ParseSecret(text string) (Key, error) {
	seed, err := base64.StdEncoding.DecodeString(text)
	if err != nil || len(seed) != ed25519.SeedSize {
		return Key{}, errors.New("invalid private half of a server key")
	}
	return Key{ed25519.NewKeyFromSeed(seed)}, nil
}

// Secret returns the private half as text.
func (k Key) Secret() string { return base64.StdEncoding.EncodeToString(k.private.Seed()) }

// Public returns the public half, or the zero value if k is no key.
func (k Key) Public() Public {
	if k.IsZero() {
		return Public{}
	}
	return Public{string(k.private[ed25519.SeedSize:])} // the second half of a private key is the public one
}

// IsZero reports whether k is no key.
func (k Key) IsZero() bool { return len(k.private) == 0 }

// String returns the text of the public half.
func (k Key) String() string { return k.Public().String() }

// GoString returns the text of the public half.
func (k Key) GoString() string { return k.String() }

// Sign signs the parts for one purpose, such as "proof to a client". It returns nil if k is no key.
func (k Key) Sign(purpose string, parts ...[]byte) []byte {
	if k.IsZero() {
		return nil
	}
	return ed25519.Sign(k.private, message(purpose, parts))
}

// message returns the signed bytes: each part follows its length.
func message(purpose string, parts [][]byte) []byte {
	var out bytes.Buffer
	out.WriteString("drover server key 1\x00")
	for _, part := range append([][]byte{[]byte(purpose)}, parts...) {
		out.Write(binary.BigEndian.AppendUint64(nil, uint64(len(part))))
		out.Write(part)
	}
	return out.Bytes()
}
