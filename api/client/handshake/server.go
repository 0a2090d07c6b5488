package handshake

import (
	"crypto/rand"
	"errors"
	"net/netip"
	"strings"

	"github.com/xdg-go/scram"
)

// maxMessage bounds a message of a handshake.
const maxMessage = 1024

// errAddress is the answer to an agent that dialled another address, or that has another end of its connection.
const errAddress = "e=dialled-another-address"

// Challenge is the server's side of one handshake, after the client-first.
type Challenge struct {
	// Name is the name that the agent claims to have.
	Name string
	// Proxied means that the agent uses TLS, but this server does not see it.
	Proxied bool

	first, serverFirst, nonce string
	binding                   scram.ChannelBinding
}

// Receive answers a client-first on a connection. It needs no knowledge of the name. answer is the server-first, or the code of
// an error; then the challenge is nil.
func Receive(clientFirst string, on Connection) (c *Challenge, answer string) {
	if len(clientFirst) > maxMessage {
		return nil, scram.ErrOtherError
	}
	c = &Challenge{first: clientFirst, nonce: rand.Text(), binding: on.binding()}
	conversation := c.conversation(func(name string) (scram.StoredCredentials, error) {
		return scram.StoredCredentials{KeyFactors: factors(name)}, nil
	})
	answer, err := conversation.Step(clientFirst)
	switch address := conversation.AuthzID(); {
	case err != nil && answer == "":
		return nil, scram.ErrOtherError
	case err != nil:
		return nil, answer
	case address != "" && !SameAddress(address, on.Address):
		return nil, errAddress
	case !comesFrom(clientFirst, on.Client):
		return nil, errAddress
	}
	c.Name, c.serverFirst, c.Proxied = conversation.Username(), answer, strings.HasPrefix(clientFirst, "y")
	return c, answer
}

// conversation starts the conversation with the nonce of the challenge, so that it can be repeated.
func (c *Challenge) conversation(lookup scram.CredentialLookup) *scram.ServerConversation {
	server, _ := scram.SHA256.NewServer(lookup) // never fails
	server.WithNonceGenerator(func() string { return c.nonce })
	if c.binding.IsSupported() {
		return server.NewConversationWithChannelBindingRequired(c.binding)
	}
	return server.NewConversation()
}

// ErrWrongProof means that the agent did not prove that it knows the secret.
var ErrWrongProof = errors.New("the proof of the agent is wrong")

// Check returns the server-final if final, the client-final, proves that the agent knows the secret of the verifier.
func (c *Challenge) Check(verifier, final string) (serverFinal string, err error) {
	credential, err := parseVerifier(c.Name, verifier)
	if err != nil {
		return "", err
	}
	conversation := c.conversation(func(string) (scram.StoredCredentials, error) { return credential, nil })
	if _, err := conversation.Step(c.first); err != nil {
		return "", err
	}
	if len(final) > maxMessage {
		return "", ErrWrongProof
	}
	serverFinal, err = conversation.Step(final)
	if err != nil || !conversation.Valid() {
		return "", ErrWrongProof
	}
	return serverFinal, nil
}

// Known returns the value of KnownHeader for the hash of the secret. For an empty hash it returns random bytes that look like a
// proof.
func (c *Challenge) Known(hash string) string {
	if hash == "" {
		hash = rand.Text()
	}
	return known(hash, c.first, c.serverFirst, c.bound())
}

// bound returns the channel binding if the agent uses it.
func (c *Challenge) bound() []byte {
	if strings.HasPrefix(c.first, "p=") {
		return c.binding.Data
	}
	return nil
}

// comesFrom reports whether a client-first states no end of its connection, or the given one.
func comesFrom(clientFirst, remote string) bool {
	for _, attribute := range strings.Split(clientFirst, ",") {
		if nonce, ok := strings.CutPrefix(attribute, "r="); ok {
			return ComesFrom(nonce, remote)
		}
	}
	return true
}

// ComesFrom reports whether a nonce names no end of a connection, or the given one on this machine: the HOST:PORT from
// which the server received the connection.
func ComesFrom(nonce, remote string) bool {
	_, end, stated := strings.Cut(nonce, endMark)
	if !stated {
		return true
	}
	end, machine, _ := strings.Cut(end, hostMark)
	return SameAddress(end, remote) && (machine == "" || host() == "" || machine == host())
}

// SameAddress reports whether two texts name the same IP address and port.
func SameAddress(a, b string) bool {
	first, err := netip.ParseAddrPort(a)
	second, err2 := netip.ParseAddrPort(b)
	return err == nil && err2 == nil && first.Port() == second.Port() &&
		first.Addr().Unmap().WithZone("") == second.Addr().Unmap().WithZone("")
}
