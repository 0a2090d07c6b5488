package handshake

import (
	"encoding/base64"
	"strings"

	"github.com/droverhq/drover/serverkey"
)

// KeyHeader contains the server key and its signature of the first messages.
const KeyHeader = "Drover-Server-Key"

// purpose separates these signatures from those of the same key for other purposes.
const purpose = "handshake with an agent"

// Sign returns the value of KeyHeader: the public half of the key, and a signature of both first messages, and so of the
// nonces, and of the channel binding. It is empty if there is no key.
func (c *Challenge) Sign(key serverkey.Key) string {
	if key.IsZero() {
		return ""
	}
	signature := key.Sign(purpose, []byte(c.first), []byte(c.serverFirst), c.bound())
	return key.String() + " " + base64.StdEncoding.EncodeToString(signature)
}

// ServerKey returns the key in the value of KeyHeader. It is zero if the server did not prove that it has the key. Answer
// must have been called before.
func (a *Attempt) ServerKey(header string) serverkey.Public {
	text, encoded, _ := strings.Cut(header, " ")
	key, err := serverkey.Parse(text)
	if err != nil || a.serverFirst == "" {
		return serverkey.Public{}
	}
	signature, err := base64.StdEncoding.DecodeString(encoded)
	if err != nil || !key.Verify(signature, purpose, []byte(a.first), []byte(a.serverFirst), a.binding) {
		return serverkey.Public{}
	}
	return key
}
