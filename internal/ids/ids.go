// Package ids makes what nobody may guess or repeat: ids of servers and commands, and tokens.
//
// It is where drover's own programs get their randomness from; domain and the pure packages have none.
// It promises tokens of the form ID.SECRET, with 12 hex digits and 43 letters of base64url, and that
// nothing but the hash of the second half is ever needed to check one.
package ids

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"

	"github.com/google/uuid"

	"github.com/droverhq/drover/domain"
)

// New returns an id that no one else has.
func New() domain.ID { return domain.ID(uuid.New()) }

// Token is a bearer token: what its bearer keeps, whole.
type Token struct{ ID, Secret string }

// NewToken makes a token. It is good for nothing until its TokenCreated is in a log.
func NewToken() Token {
	var id [6]byte
	var secret [32]byte
	_, _ = rand.Read(id[:]) // never fails: crypto/rand ends the program instead
	_, _ = rand.Read(secret[:])
	return Token{ID: hex.EncodeToString(id[:]), Secret: base64.RawURLEncoding.EncodeToString(secret[:])}
}

// Text is the token as people and files hold it.
func (t Token) Text() string { return t.ID + "." + t.Secret }

// Hash is what the log keeps of it: SHA-256 of the secret half, in hex.
func (t Token) Hash() string {
	sum := sha256.Sum256([]byte(t.Secret))
	return hex.EncodeToString(sum[:])
}
