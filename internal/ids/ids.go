package ids

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"

	"github.com/google/uuid"

	"github.com/droverhq/drover/api/client/handshake"
	"github.com/droverhq/drover/domain"
)

// New returns a random id.
func New() domain.ID { return domain.ID(uuid.New()) }

// Token is a bearer token. Only its bearer has the secret.
type Token struct{ ID, Secret string }

// NewToken creates a token. It is not valid until its TokenCreated event is in a log.
func NewToken() Token {
	var id [6]byte
	var secret [32]byte
	_, _ = rand.Read(id[:]) // never fails: crypto/rand ends the program instead
	_, _ = rand.Read(secret[:])
	return Token{ID: hex.EncodeToString(id[:]), Secret: base64.RawURLEncoding.EncodeToString(secret[:])}
}

// Text returns the token in the form that people and files use.
func (t Token) Text() string { return t.ID + "." + t.Secret }

// Hash returns what the log stores of the token: the SHA-256 of the secret, in hex.
func (t Token) Hash() string {
	sum := sha256.Sum256([]byte(t.Secret))
	return hex.EncodeToString(sum[:])
}

// Verifier returns what the log stores of a join token in addition to its hash, so that an agent can prove that it knows
// the token without sending it.
func (t Token) Verifier() string { return handshake.VerifierOf(handshake.JoinName(t.ID), t.Secret) }
