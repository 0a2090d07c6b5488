package client

import (
	"bufio"
	"cmp"
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/droverhq/drover/api/client/handshake"
	"github.com/droverhq/drover/serverkey"
)

const (
	// proofTimeout bounds the time for a proof.
	proofTimeout = 10 * time.Second
	// maxProofBytes bounds the answer.
	maxProofBytes = 64 << 10
)

// errUnproven is the cause of a problem for a server that did not prove itself.
var errUnproven = errors.New("the server did not prove itself")

// unproven returns the problem for a server that gave no valid proof.
func unproven(detail string) *Problem {
	return &Problem{Title: "Server not proven", Kind: Unauthorised, Detail: detail,
		Hint: "create another one with `drover token create`", cause: errUnproven}
}

// prover returns only connections whose server has proved itself. A server keeps its connection, so whatever is sent on
// it reaches that server.
type prover struct {
	server  string // for messages
	token   string
	relayed bool             // see Client.Relayed
	key     serverkey.Public // see Client.Key
	proven  func(serverkey.Public)
	tls     *tls.Config // nil: without TLS
	dial    func(ctx context.Context, network, address string) (net.Conn, error)
}

// dialContext implements DialContext of http.Transport, or DialTLSContext for a server with TLS.
func (p *prover) dialContext(ctx context.Context, network, address string) (net.Conn, error) {
	conn, err := p.dial(ctx, network, address)
	if err != nil {
		return nil, err
	}
	_ = conn.SetDeadline(time.Now().Add(proofTimeout))
	stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Now()) })
	proven, err := p.secure(ctx, conn, address)
	if stop() && err == nil {
		return proven, proven.SetDeadline(time.Time{})
	}
	_ = conn.Close()
	return nil, cmp.Or(ctx.Err(), err)
}

// secure makes a TLS connection of a new connection, unless the server has no TLS, and lets the server prove itself.
func (p *prover) secure(ctx context.Context, conn net.Conn, address string) (net.Conn, error) {
	if p.tls == nil {
		return conn, p.prove(conn, nil)
	}
	settings := p.tls.Clone()
	settings.NextProtos = []string{"http/1.1"} // the challenge and the requests after it share the connection
	if settings.ServerName == "" {
		host, _, err := net.SplitHostPort(address)
		if err != nil {
			return nil, err
		}
		settings.ServerName = host
	}
	secured := tls.Client(conn, settings)
	if err := secured.HandshakeContext(ctx); err != nil {
		return nil, err
	}
	state := secured.ConnectionState()
	return secured, p.prove(secured, &state)
}

// prove sends a challenge on a new connection and checks the answer. state is nil without TLS.
func (p *prover) prove(conn net.Conn, state *tls.ConnectionState) error {
	id, _ := splitToken(p.token)
	nonce := p.nonce(conn)
	answer, err := challenge(conn, p.server, id, nonce)
	if err != nil {
		return p.unanswered(err)
	}
	return p.check(answer, nonce, state, conn.RemoteAddr().String())
}

// nonce returns the nonce for a new connection. On loopback without TLS it names the client's end, unless a program may
// pass the connection on: such a program could hold the connection until the server listens at its address again.
func (p *prover) nonce(conn net.Conn) string {
	remote, ok := conn.RemoteAddr().(*net.TCPAddr)
	if !ok || p.tls != nil || p.relayed || !remote.IP.IsLoopback() {
		return rand.Text()
	}
	return handshake.Connection{Client: conn.LocalAddr().String()}.Nonce()
}

// unanswered returns the problem for a server that did not answer the challenge. Over TLS, a server of an older version
// is accepted if no key is expected from it: its certificate is its proof.
func (p *prover) unanswered(err error) error {
	var problem *Problem
	if !errors.As(err, &problem) || problem.Status != http.StatusNotFound {
		return err
	}
	switch {
	case !p.key.IsZero():
		return p.withoutKey()
	case p.tls != nil:
		return nil
	}
	return err
}

func (p *prover) withoutKey() *Problem {
	problem := unproven(fmt.Sprintf("%s did not prove that it has the server key %s; the token was not sent", p.server,
		p.key))
	problem.Hint = "is it a drover server of an older version, or another program?"
	return problem
}

// check checks the answer to a challenge. remote is the address that was dialled; it is not compared over TLS, where the
// binding identifies the connection.
func (p *prover) check(answer Proof, nonce string, state *tls.ConnectionState, remote string) error {
	signer := answer.signer(nonce)
	switch {
	case p.key.IsZero():
	case signer.IsZero():
		return p.withoutKey()
	case signer != p.key:
		return p.otherKey(signer)
	}
	_, secret := splitToken(p.token)
	expected := ServerProof(HashSecret(secret), nonce, answer.Address)
	if p.token != "" && !hmac.Equal([]byte(expected), []byte(answer.Proof)) {
		detail := "the token is unknown, revoked or expired, or the program at " + p.server + " is not a server of its log"
		if !p.key.IsZero() {
			detail = "the token is unknown, revoked or expired at " + p.server
		}
		return unproven(detail + "; the token was not sent")
	}
	relayed := !handshake.SameAddress(answer.Address, remote)
	if state != nil { // a proxy that terminates TLS is trusted because of its certificate
		relayed = answer.Binding != "" && (answer.Binding != Binding(state) || answer.Binding == noBinding)
	}
	if relayed && !p.relayed {
		problem := unproven(fmt.Sprintf("%s passes connections on to a server at %.80q; the token was not sent", p.server,
			answer.Address))
		problem.Hint = "use the address of the server itself, or permit it with --token or DROVER_TOKEN"
		return problem
	}
	if p.proven != nil && !signer.IsZero() {
		p.proven(signer)
	}
	return nil
}

// otherKey returns the problem for a server with another key than the expected one.
func (p *prover) otherKey(found serverkey.Public) *Problem {
	problem := unproven(fmt.Sprintf("%s has the server key %s, not the expected key %s; the token was not sent", p.server,
		found, p.key))
	problem.Hint = "if you know why, compare the key with `drover server-key show` on that machine and use --accept-server " +
		found.String()
	return problem
}

// newRequest returns the request of a challenge.
func newRequest(server, id, nonce string) (*http.Request, error) {
	base, err := baseURL(server)
	if err != nil {
		return nil, err
	}
	query := url.Values{"token": {id}, "nonce": {nonce}}
	return http.NewRequest(http.MethodGet, base+ProofPath+"?"+query.Encode(), nil)
}

// challenge asks the server on a connection for a proof. It reads exactly one response, so that the connection can be
// used for further requests.
func challenge(conn net.Conn, server, id, nonce string) (answer Proof, err error) {
	request, err := newRequest(server, id, nonce)
	if err == nil {
		err = request.Write(conn)
	}
	if err != nil {
		return answer, err
	}
	in := bufio.NewReader(io.LimitReader(conn, maxProofBytes))
	response, err := http.ReadResponse(in, request)
	if err != nil {
		return answer, err
	}
	if answer, err = readProof(server, response); err != nil {
		return answer, err
	}
	if response.Close || in.Buffered() > 0 {
		return answer, unproven(server + " does not answer like a drover server; the token was not sent")
	}
	return answer, nil
}

// readProof reads the response to a challenge.
func readProof(server string, response *http.Response) (answer Proof, err error) {
	body, err := io.ReadAll(io.LimitReader(response.Body, maxProofBytes))
	if err = errors.Join(err, response.Body.Close()); err != nil {
		return answer, err
	}
	if response.StatusCode != http.StatusOK {
		return answer, problemOf(server, response, body)
	}
	return answer, decode(server, body, &answer)
}

// proxied is the transport for a server with TLS that is reached through an HTTP proxy. The proxy sees only TLS. The
// server proves itself before the first request.
type proxied struct {
	prover
	base   http.RoundTripper
	mu     sync.Mutex
	proved bool
}

// RoundTrip implements http.RoundTripper.
func (p *proxied) RoundTrip(request *http.Request) (*http.Response, error) {
	if err := p.ensure(request.Context()); err != nil {
		return nil, err
	}
	return p.base.RoundTrip(request)
}

func (p *proxied) ensure(ctx context.Context) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.proved {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, proofTimeout)
	defer cancel()
	id, _ := splitToken(p.token)
	nonce := rand.Text()
	request, err := newRequest(p.server, id, nonce)
	if err != nil {
		return err
	}
	response, err := p.base.RoundTrip(request.WithContext(ctx))
	if err != nil {
		return err
	}
	answer, err := readProof(p.server, response)
	if err != nil {
		err = p.unanswered(err)
	} else {
		err = p.check(answer, nonce, response.TLS, "")
	}
	p.proved = err == nil
	return err
}

// ServerKey asks the first server that answers for its key, without a token. The key is zero if the server has none.
func (c *Client) ServerKey(ctx context.Context) (key serverkey.Public, server string, err error) {
	anyone := Client{Servers: c.Servers, HTTP: c.HTTP, IdleTimeout: c.IdleTimeout}
	nonce := rand.Text()
	response, server, err := anyone.send(ctx, request{method: http.MethodGet, path: ProofPath,
		query: url.Values{"nonce": {nonce}}})
	if err != nil {
		return key, server, err
	}
	answer, err := readProof(server, response)
	return answer.signer(nonce), server, err
}

// hasTLS reports whether a server address names a server with TLS.
func hasTLS(server string) bool { return strings.HasPrefix(strings.ToLower(server), "https://") }
