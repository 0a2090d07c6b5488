package handshake

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/tls"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"sync"

	"github.com/xdg-go/scram"
)

// Headers of the request and the answer that open a WebSocket.
const (
	// Header contains the client-first of the agent, and the server-first of the server.
	Header = "Drover-Scram"
	// KnownHeader contains the proof that the server knows the hash of the secret. If it does not, or if the log has a
	// verifier, it contains random bytes.
	KnownHeader = "Drover-Known"
	// JoinHeader and JoinKnownHeader are the same for the join token of an agent that joins.
	JoinHeader      = "Drover-Join"
	JoinKnownHeader = "Drover-Join-Known"
)

// Connection is what one end knows about a connection.
type Connection struct {
	// TLS is the state of TLS; nil: the connection has none.
	TLS *tls.ConnectionState
	// Address is the HOST:PORT of the server. A server states at which address it received the connection; it is empty
	// for a Unix socket. An agent states which address it dialled if nothing may pass the connection on.
	Address string
	// Client is the HOST:PORT of the agent's end. A server states where the connection comes from. An agent states it if
	// nothing may pass the connection on: a program could hold the connection until the server listens at Address again.
	Client string
	// Proxied means that a proxy ends TLS. Only agents state it.
	Proxied bool
}

// binding returns the channel binding. It is empty without TLS, and for a version of TLS that has none.
func (c Connection) binding() scram.ChannelBinding {
	if c.TLS == nil {
		return scram.ChannelBinding{}
	}
	binding, err := scram.NewTLSExporterBinding(c.TLS)
	if err != nil {
		return scram.ChannelBinding{}
	}
	return binding
}

// Nonce returns a random text. It names the agent's end of the connection if there is one, and the machine that the
// address belongs to. All proofs cover it.
func (c Connection) Nonce() string {
	if c.Client == "" {
		return rand.Text()
	}
	return rand.Text() + endMark + c.Client + hostMark + host()
}

// endMark separates the random text of a nonce from the end of the connection, and hostMark that end from the machine.
const (
	endMark  = "@"
	hostMark = "/"
)

// Credential is a secret and the name to which it belongs. It caches derived keys, and is safe for concurrent use.
type Credential struct {
	name, secret string

	mu      sync.Mutex // guards clients
	clients map[string]*scram.Client
}

// maxClients bounds the cached clients of a credential. There is one for each address without TLS.
const maxClients = 16

// NewCredential returns a credential. secret must have been generated randomly.
func NewCredential(name, secret string) *Credential {
	return &Credential{name: name, secret: secret, clients: map[string]*scram.Client{}}
}

// client returns the client for an address. Each has its own cache of the derived keys. c.mu must be locked.
func (c *Credential) client(address string) *scram.Client {
	found := c.clients[address]
	if found == nil {
		if len(c.clients) >= maxClients {
			clear(c.clients)
		}
		found, _ = scram.SHA256.NewClientUnprepped(c.name, c.secret, address) // never fails
		c.clients[address] = found
	}
	return found
}

// Verifier returns what the log stores of the secret.
func (c *Credential) Verifier() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	stored, err := c.client("").GetStoredCredentialsWithError(factors(c.name))
	if err != nil {
		panic(err) // the factors are constant and valid
	}
	return encodeVerifier(stored)
}

// Attempt is the agent's side of one handshake.
type Attempt struct {
	credential   *Credential
	conversation *scram.ClientConversation
	first        string
	serverFirst  string
	binding      []byte
}

// Start begins a handshake on a connection.
func (c *Credential) Start(on Connection) *Attempt {
	c.mu.Lock()
	defer c.mu.Unlock()
	a := &Attempt{credential: c}
	client := c.client(on.Address).WithNonceGenerator(on.Nonce)
	switch binding := on.binding(); {
	case on.TLS == nil:
		a.conversation = client.NewConversation()
	case on.Proxied || !binding.IsSupported():
		a.conversation = client.NewConversationAdvertisingChannelBinding()
	default:
		a.conversation, a.binding = client.NewConversationWithChannelBinding(binding), binding.Data
	}
	a.first, _ = a.conversation.Step("") // the first step never fails
	return a
}

// First returns the client-first.
func (a *Attempt) First() string { return a.first }

// Errors of Answer about what is between the agent and the server.
var (
	// ErrProxied: the server has no TLS, so a proxy ends it. Try again with Connection.Proxied.
	ErrProxied = errors.New("a proxy ends TLS in front of the server")
	// ErrNotProxied: the server has TLS, although an earlier answer said that it has none.
	ErrNotProxied = errors.New("the server ends TLS itself")
	// ErrRelayed: the server received the connection at or from another address, or with TLS although the agent uses none.
	ErrRelayed = errors.New("another program passes the connection on to the server")
	// ErrNoProof: the answer contains no server-first.
	ErrNoProof = errors.New("the server did not offer to prove itself")
)

// Answer returns the client-final for a server-first.
func (a *Attempt) Answer(serverFirst string) (final string, err error) {
	code, refused := strings.CutPrefix(serverFirst, "e=")
	bound := strings.HasPrefix(a.first, "p=")
	switch {
	case serverFirst == "":
		return "", ErrNoProof
	case refused && "e="+code == scram.ErrChannelBindingNotSupported && bound:
		return "", ErrProxied
	case refused && "e="+code == scram.ErrServerDoesSupportChannelBinding && strings.HasPrefix(a.first, "y"):
		return "", ErrNotProxied
	case refused && ("e="+code == scram.ErrServerDoesSupportChannelBinding || "e="+code == errAddress):
		return "", ErrRelayed
	case refused:
		return "", fmt.Errorf("the server refused the handshake: %.80q", code)
	}
	f := factors(a.credential.name)
	expected := fmt.Sprintf(",s=%s,i=%d", base64.StdEncoding.EncodeToString([]byte(f.Salt)), f.Iters)
	if !strings.HasSuffix(serverFirst, expected) || len(serverFirst) > maxMessage {
		return "", errors.New("the server answered with another salt or iteration count")
	}
	a.serverFirst = serverFirst
	return a.conversation.Step(serverFirst)
}

// Verify returns an error unless serverFinal proves that the server knows the verifier. Nothing that the server sent may be used
// before.
func (a *Attempt) Verify(serverFinal string) error {
	if serverFinal == "" {
		return errors.New("the server did not prove that it knows this agent")
	}
	if _, err := a.conversation.Step(serverFinal); err != nil || !a.conversation.Valid() {
		return errors.New("the server gave a wrong proof that it knows this agent")
	}
	return nil
}

// KnowsHash reports whether proof, the value of KnownHeader, proves that the server knows the hash of the secret. Answer
// must have been called before.
func (a *Attempt) KnowsHash(hash, proof string) bool {
	return a.serverFirst != "" && hmac.Equal([]byte(proof), []byte(known(hash, a.first, a.serverFirst, a.binding)))
}
