package client

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/tls"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"strings"

	"github.com/droverhq/drover/serverkey"
)

// ProofPath is the route by which a server proves that it knows a token. It needs no credential.
const ProofPath = "/api/v1/proof"

// Proof is the answer of ProofPath.
type Proof struct {
	// Address is the HOST:PORT at which the server received the connection.
	Address string `json:"address"`
	// Proof is ServerProof of the hash of the token, the nonce and Address.
	Proof string `json:"proof"`
	// Key is the public half of the server key. A server without a key, and one of an older version, leave this field
	// and the following ones empty.
	Key string `json:"key,omitempty" doc:"The public half of the server key."`
	// Binding identifies the TLS connection that the server received, see Binding. It is empty without TLS.
	Binding string `json:"binding,omitempty" doc:"Identifies the TLS connection that the server received."`
	// Signature is the signature of the nonce and the fields above by the server key, in base64.
	Signature string `json:"signature,omitempty" doc:"Signature of the nonce and the other fields by the server key."`
}

// proofPurpose is the purpose of the signature of a Proof.
const proofPurpose = "proof to a client"

// Sign adds a server key and its signature to a proof.
func (p *Proof) Sign(key serverkey.Key, nonce string) {
	if p.Key = key.Public().String(); p.Key != "" {
		p.Signature = base64.StdEncoding.EncodeToString(key.Sign(proofPurpose, p.signed(nonce)...))
	}
}

func (p *Proof) signed(nonce string) [][]byte {
	return [][]byte{[]byte(nonce), []byte(p.Address), []byte(p.Proof), []byte(p.Binding)}
}

// signer returns the key that has signed the proof, or the zero key.
func (p *Proof) signer(nonce string) serverkey.Public {
	key, err := serverkey.Parse(p.Key)
	signature, err2 := base64.StdEncoding.DecodeString(p.Signature)
	if err != nil || err2 != nil || !key.Verify(signature, proofPurpose, p.signed(nonce)...) {
		return serverkey.Public{}
	}
	return key
}

// noBinding is the Binding of a TLS connection of an old form, for which none can be computed.
const noBinding = "none"

// Binding returns a text that identifies a TLS connection and that both of its ends compute: the channel binding
// tls-exporter of RFC 9266. It returns an empty text for nil, that is, without TLS.
func Binding(state *tls.ConnectionState) string {
	if state == nil {
		return ""
	}
	binding, err := state.ExportKeyingMaterial("EXPORTER-Channel-Binding", nil, 32)
	if err != nil {
		return noBinding
	}
	return base64.StdEncoding.EncodeToString(binding)
}

// IsToken reports whether text can be a token: it contains only visible ASCII characters. A token with another one, such as
// the line break of a file, was copied incorrectly, and cannot be sent in a header.
func IsToken(text string) bool {
	return !strings.ContainsFunc(text, func(r rune) bool { return r <= ' ' || r > '~' })
}

// HashSecret returns the hash of a secret as the log stores it: the SHA-256 sum in hex.
func HashSecret(secret string) string {
	sum := sha256.Sum256([]byte(secret))
	return hex.EncodeToString(sum[:])
}

// ServerProof returns the proof that only someone who knows hash can compute: an HMAC-SHA256 in base64. It covers the
// address, so that a program that passes the challenge on to a server elsewhere gets a proof for another address.
func ServerProof(hash, nonce, address string) string {
	key := hmac.New(sha256.New, []byte(hash))
	key.Write([]byte("drover server proof 1"))
	proof := hmac.New(sha256.New, key.Sum(nil))
	fmt.Fprintf(proof, "%s\x00%s", nonce, address)
	return base64.StdEncoding.EncodeToString(proof.Sum(nil))
}

// AgentPrefix starts the bearer text of an agent's secret: agent:INSTANCE:SECRET.
const AgentPrefix = "agent:"

// splitToken returns the public id and the secret half of a token, or of an agent's secret. A text of another form has
// no id, because no part of it is known to be public.
func splitToken(text string) (id, secret string) {
	separator := "."
	if strings.HasPrefix(text, AgentPrefix) {
		separator = ":"
	}
	at := strings.LastIndex(text, separator)
	if at < 0 {
		return "", text
	}
	return text[:at], text[at+1:]
}
