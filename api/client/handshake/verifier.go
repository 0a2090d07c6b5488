package handshake

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"strings"

	"github.com/xdg-go/scram"
)

const (
	// iterations is the smallest count that RFC 7677 permits.
	iterations = 4096
	saltBytes  = 16
	// mechanism begins each verifier, as in RFC 5803.
	mechanism = "SCRAM-SHA-256"
)

// AgentName returns the name by which an agent authenticates.
func AgentName(instance string) string { return "agent:" + instance }

// JoinName returns the name by which the bearer of a join token authenticates.
func JoinName(token string) string { return "join:" + token }

// factors returns the salt and the iteration count of a name.
func factors(name string) scram.KeyFactors {
	sum := sha256.Sum256([]byte("drover scram salt 1\x00" + name))
	return scram.KeyFactors{Salt: string(sum[:saltBytes]), Iters: iterations}
}

// VerifierOf returns the verifier of a secret: what the log stores of it. It takes about a millisecond.
func VerifierOf(name, secret string) string {
	return NewCredential(name, secret).Verifier()
}

// Matches reports whether secret has the verifier. It takes about a millisecond, and the comparison is constant in time.
func Matches(verifier, name, secret string) bool {
	return verifier != "" && hmac.Equal([]byte(verifier), []byte(VerifierOf(name, secret)))
}

// CheckVerifier returns an error unless text is a verifier that VerifierOf could return for the name.
func CheckVerifier(name, text string) error {
	_, err := parseVerifier(name, text)
	return err
}

func encodeVerifier(c scram.StoredCredentials) string {
	encode := base64.StdEncoding.EncodeToString
	return fmt.Sprintf("%s$%d:%s$%s:%s", mechanism, c.Iters, encode([]byte(c.Salt)), encode(c.StoredKey),
		encode(c.ServerKey))
}

func parseVerifier(name, text string) (scram.StoredCredentials, error) {
	c := scram.StoredCredentials{KeyFactors: factors(name)}
	prefix := fmt.Sprintf("%s$%d:%s$", mechanism, c.Iters, base64.StdEncoding.EncodeToString([]byte(c.Salt)))
	keys, ok := strings.CutPrefix(text, prefix)
	if !ok {
		return c, fmt.Errorf("invalid verifier: it must begin with %s", prefix)
	}
	stored, server, _ := strings.Cut(keys, ":")
	for _, key := range []struct {
		name, text string
		to         *[]byte
	}{{"StoredKey", stored, &c.StoredKey}, {"ServerKey", server, &c.ServerKey}} {
		bytes, err := base64.StdEncoding.Strict().DecodeString(key.text)
		if err != nil || len(bytes) != sha256.Size {
			return c, fmt.Errorf("invalid verifier: the %s must be %d bytes in base64", key.name, sha256.Size)
		}
		*key.to = bytes
	}
	return c, nil
}

// known returns the proof that its author knows the hash of a secret. It covers both first messages with their nonces,
// and the binding of the connection.
func known(hash, clientFirst, serverFirst string, binding []byte) string {
	key := hmac.New(sha256.New, []byte(hash))
	key.Write([]byte("drover knows the hash 1"))
	proof := hmac.New(sha256.New, key.Sum(nil))
	fmt.Fprintf(proof, "%s\x00%s\x00%x", clientFirst, serverFirst, binding)
	return base64.StdEncoding.EncodeToString(proof.Sum(nil))
}
