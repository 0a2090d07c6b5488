package agent

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptrace"
	"strings"

	"go.uber.org/zap"

	"github.com/droverhq/drover/agent/journal"
	"github.com/droverhq/drover/api/client"
	"github.com/droverhq/drover/api/client/handshake"
	"github.com/droverhq/drover/serverkey"
)

// greeter opens connections on which the agent and the server have proved to each other who they are. It must be used by
// one goroutine at a time.
type greeter struct {
	dial    dialer
	relay   bool             // Config.Relay
	accept  serverkey.Public // Config.AcceptServer
	journal *journal.Journal
	log     *zap.Logger

	credential *handshake.Credential
	secret     string
	// token is the join token; nil: the agent has none, or no longer needs it.
	token *joinToken
	// joined means that a server has welcomed this agent under its name.
	joined bool
	// joins means that the next attempt uses the join token.
	joins bool
	// proxied contains the addresses of servers behind a proxy that ends TLS.
	proxied map[string]bool
}

// joinToken is a join token and the name by which its bearer authenticates.
type joinToken struct {
	id, secret, text string
	credential       *handshake.Credential
}

func newJoinToken(text string) *joinToken {
	id, secret, ok := strings.Cut(text, ".")
	if !ok { // no part of it is known to be public
		id, secret = "", text
	}
	return &joinToken{id: id, secret: secret, text: text,
		credential: handshake.NewCredential(handshake.JoinName(id), secret)}
}

func newGreeter(c Config, j *journal.Journal, dial dialer) *greeter {
	identity, memory := j.Identity(), j.Memory()
	g := &greeter{dial: dial, relay: c.Relay, accept: c.AcceptServer, journal: j, log: c.Logger, secret: identity.Secret,
		credential: handshake.NewCredential(handshake.AgentName(identity.Instance), identity.Secret),
		joined:     memory != nil && memory.Log != "" && memory.Machine == c.Name, proxied: map[string]bool{}}
	if c.Join != "" {
		g.token = newJoinToken(c.Join)
	}
	if g.token != nil && g.joined && g.token.id == j.Trust().Joined {
		g.token = nil
	}
	g.joins = g.token != nil && !g.joined
	return g
}

// attempt is one connection until its welcome.
type attempt struct {
	*greeter
	address        string
	server         string             // the address for messages
	joining        *handshake.Attempt // nil: the agent does not join
	agent          *handshake.Attempt
	key            serverkey.Public // of the server; zero: it has none
	confidential   bool             // others cannot read the connection
	direct         bool             // the server refuses the handshake if a program passes the connection on
	needsJoinProof bool             // the server knows the verifier only from this attempt
}

// open connects to a server and returns when both ends have proved who they are and the server has accepted the agent.
// The error is a *refusal if the server has refused it.
func (g *greeter) open(ctx context.Context, address string, hello client.Hello) (connection, client.Welcome, error) {
	conn, welcome, err := g.try(ctx, address, hello)
	if proxied := errors.Is(err, handshake.ErrProxied); proxied || errors.Is(err, handshake.ErrNotProxied) {
		g.proxied[address] = proxied
		conn, welcome, err = g.try(ctx, address, hello)
	}
	if err != nil && g.token != nil {
		g.switchMode(err)
	}
	return conn, welcome, err
}

// switchMode decides after a failure whether the next attempt uses the join token. An agent that has joined uses it only
// after a refusal: the machine may have been removed, or its earlier token revoked.
func (g *greeter) switchMode(err error) {
	refused := (*refusal)(nil)
	switch isRefused := errors.As(err, &refused); {
	case isRefused && !g.joins:
		g.joins, refused.Final = true, false
	case isRefused:
		g.joins = !g.joined
	case errors.Is(err, errJoinUnproven):
		g.joins = false
	}
}

// errJoinUnproven means that the server does not know the join token, but may know the agent.
var errJoinUnproven = errors.New("the server did not prove that it knows the join token")

// try opens one connection.
func (g *greeter) try(ctx context.Context, address string, hello client.Hello) (connection, client.Welcome, error) {
	dialing, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	a := &attempt{greeter: g, address: address, server: serverURL(address)}
	conn, answer, err := g.dial(dialing, address, a.start)
	if err != nil {
		return nil, client.Welcome{}, err
	}
	welcome, err := a.greet(ctx, conn, answer, hello)
	if err != nil {
		conn.Drop()
		return nil, client.Welcome{}, err
	}
	g.accepted(welcome, a.key)
	return conn, welcome, nil
}

// start begins the handshake on a new connection: it adds its first messages to the request that opens the WebSocket.
func (a *attempt) start(conn net.Conn, header http.Header) {
	on := handshake.Connection{Proxied: a.proxied[a.address]}
	switch typed := conn.(type) {
	case *tls.Conn:
		state := typed.ConnectionState()
		on.TLS, a.confidential, a.direct = &state, true, true
	case *net.UnixConn:
		a.confidential, a.direct = true, true
	case *net.TCPConn:
		remote, ok := typed.RemoteAddr().(*net.TCPAddr)
		if a.direct = ok && remote.IP.IsLoopback() && !a.relay; a.direct {
			on.Address, on.Client = remote.String(), typed.LocalAddr().String()
		}
	}
	a.agent = a.credential.Start(on)
	header.Set(handshake.Header, a.agent.First())
	if a.joins {
		a.joining = a.token.credential.Start(on)
		header.Set(handshake.JoinHeader, a.joining.First())
	}
}

// greet sends the hello with the proofs of the agent, and returns the welcome after the server has proved itself.
func (a *attempt) greet(ctx context.Context, conn connection, answer http.Header,
	hello client.Hello) (client.Welcome, error) {
	if err := a.prove(answer, &hello); err != nil {
		return client.Welcome{}, err
	}
	if err := conn.Send(ctx, client.FromAgent{Hello: &hello}); err != nil {
		return client.Welcome{}, fmt.Errorf("send the hello: %w", err)
	}
	for {
		m, err := conn.Receive(ctx)
		switch {
		case err != nil:
			return client.Welcome{}, fmt.Errorf("wait for the welcome: %w", err)
		case m.Refused != nil:
			return client.Welcome{}, &refusal{Refused: *m.Refused, from: a.address,
				proven: a.check(m.Refused.Proof, m.Refused.JoinProof) == nil}
		case m.Welcome != nil:
			if err := a.check(m.Welcome.Proof, m.Welcome.JoinProof); err != nil {
				return client.Welcome{}, fmt.Errorf("%s is not accepted as a server: %w", a.server, err)
			}
			return *m.Welcome, nil
		}
	}
}

// prove completes the hello with the proofs of the agent. It adds a secret only if the server has proved that it knows
// the secret's hash, and the log has nothing better.
func (a *attempt) prove(answer http.Header, hello *client.Hello) (err error) {
	if a.agent == nil {
		return a.explain(handshake.ErrNoProof)
	}
	if hello.Proof, err = a.agent.Answer(answer.Get(handshake.Header)); err != nil {
		return a.explain(err)
	}
	a.key = a.agent.ServerKey(answer.Get(handshake.KeyHeader))
	if err = a.checkKey(); err != nil {
		return err
	}
	knowsHash := a.agent.KnowsHash(client.HashSecret(a.secret), answer.Get(handshake.KnownHeader))
	if knowsHash {
		if a.journal.Trust().Registered && !a.confidential {
			return fmt.Errorf("%s knows only the hash of this agent's secret, as before an earlier upgrade; "+
				"connect with https:// or unix:///PATH, or start the agent with a new join token", a.server)
		}
		hello.Secret = a.secret
	}
	if knowsHash || a.joining != nil {
		hello.Verifier = a.credential.Verifier()
	}
	if a.joining == nil {
		return nil
	}
	a.needsJoinProof = !knowsHash
	if hello.JoinProof, err = a.joining.Answer(answer.Get(handshake.JoinHeader)); err != nil {
		return a.explain(err)
	}
	if a.joining.KnowsHash(client.HashSecret(a.token.secret), answer.Get(handshake.JoinKnownHeader)) {
		if !a.confidential && !a.direct {
			return fmt.Errorf("the join token is from an earlier version of drover and would be sent without encryption to %s; "+
				"create another one with `drover token create --join`", a.server)
		}
		hello.Join = a.token.text
	}
	return nil
}

// checkKey refuses a server with another key than the pinned one.
func (a *attempt) checkKey() error {
	expected := a.accept
	if expected.IsZero() {
		text := a.journal.Trust().Key
		if text == "" { // no key is pinned yet
			return nil
		}
		var err error
		if expected, err = serverkey.Parse(text); err != nil {
			return fmt.Errorf("the pinned server key is unreadable (%w); use the version of drover that pinned it, or start the "+
				"agent once with --accept-server KEY", err)
		}
	}
	switch {
	case a.key == expected:
		return nil
	case a.key.IsZero():
		return fmt.Errorf("%s did not prove that it has the server key %s; is it a server of an older version, or restored from "+
			"an older backup?", a.server, expected)
	}
	return fmt.Errorf("%s has the server key %s, not the expected key %s; if you know why, compare the key with "+
		"`drover server-key show` and start the agent once with --accept-server %s", a.server, a.key, expected, a.key)
}

// explain adds the address and a hint to an error of package handshake.
func (a *attempt) explain(err error) error {
	switch {
	case errors.Is(err, handshake.ErrNoProof):
		return fmt.Errorf("%s did not offer to prove that it is a server: it is another program, or an older version; "+
			"upgrade the servers before the agents", a.server)
	case errors.Is(err, handshake.ErrRelayed):
		return fmt.Errorf("%s passes connections on to a server at another address; use https:// or unix:///PATH, "+
			"or permit it with --relay", a.server)
	}
	return fmt.Errorf("%s: %w", a.server, err)
}

// check returns an error unless the server has proved that it knows what the log stores of this agent, or of its join
// token.
func (a *attempt) check(proof, joinProof string) error {
	if a.needsJoinProof {
		if err := a.joining.Verify(joinProof); err != nil {
			return errJoinUnproven
		}
	}
	if proof == "" && a.needsJoinProof { // a refusal
		return nil
	}
	return a.agent.Verify(proof)
}

// accepted records what the welcome of a proven server says, pins its key, and drops the join token.
func (g *greeter) accepted(w client.Welcome, key serverkey.Public) {
	trust := g.journal.Trust()
	if !key.IsZero() {
		trust.Key = key.String()
	}
	trust.Registered = trust.Registered || w.Registered
	trust.OfflineAfter = w.Settings.OfflineAfter
	if g.token != nil {
		trust.Joined = g.token.id
	}
	g.token, g.joins, g.joined = nil, false, true
	if err := g.journal.RecordTrust(trust); err != nil {
		g.log.Error("could not write to the data folder", zap.Error(err))
	}
}

// starting is a transport that starts a handshake on the connection of each request, before the request is sent.
type starting struct {
	http.RoundTripper
	start func(net.Conn, http.Header)
}

// RoundTrip implements http.RoundTripper.
func (s starting) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	trace := &httptrace.ClientTrace{GotConn: func(got httptrace.GotConnInfo) { s.start(got.Conn, r.Header) }}
	return s.RoundTripper.RoundTrip(r.WithContext(httptrace.WithClientTrace(r.Context(), trace)))
}
