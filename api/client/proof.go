package client

import (
	"bufio"
	"cmp"
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"time"
)

// ProofPath is the route by which a server proves that it knows a token. It needs no credential.
const ProofPath = "/api/v1/proof"

// Proof is the answer of ProofPath.
type Proof struct {
	// Address is the HOST:PORT at which the server received the connection.
	Address string `json:"address"`
	// Proof is ServerProof of the hash of the token, the nonce and Address.
	Proof string `json:"proof"`
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

const (
	// proofTimeout bounds the time for a proof.
	proofTimeout = 10 * time.Second
	// maxProofBytes bounds the answer.
	maxProofBytes = 64 << 10
)

// errUnproven is the cause of a problem for a server that did not prove that it knows the token.
var errUnproven = errors.New("the server did not prove that it knows the token")

// unproven returns the problem for a server at an address that gave no valid proof.
func unproven(detail string) *Problem {
	return &Problem{Title: "Server not proven", Kind: Unauthorised, Detail: detail,
		Hint: "create another one with `drover token create`", cause: errUnproven}
}

// prover dials without TLS and returns only connections whose server has proved that it knows the token. A server keeps
// its connection, so whatever is sent on it reaches that server.
type prover struct {
	server  string // for messages
	token   string
	relayed bool // see Client.Relayed
	dial    func(ctx context.Context, network, address string) (net.Conn, error)
}

// dialContext implements DialContext of http.Transport.
func (p *prover) dialContext(ctx context.Context, network, address string) (net.Conn, error) {
	conn, err := p.dial(ctx, network, address)
	if err != nil {
		return nil, err
	}
	_ = conn.SetDeadline(time.Now().Add(proofTimeout))
	stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Now()) })
	err = p.prove(conn)
	if stop() && err == nil {
		return conn, conn.SetDeadline(time.Time{})
	}
	_ = conn.Close()
	return nil, cmp.Or(ctx.Err(), err)
}

// prove sends a challenge on a new connection and checks the answer.
func (p *prover) prove(conn net.Conn) error {
	id, secret := splitToken(p.token)
	nonce := rand.Text()
	answer, err := challenge(conn, p.server, id, nonce)
	if err != nil {
		return err
	}
	expected := ServerProof(HashSecret(secret), nonce, answer.Address)
	switch {
	case !hmac.Equal([]byte(expected), []byte(answer.Proof)):
		return unproven("the token is unknown, revoked or expired, or the program at " + p.server +
			" is not a server of its log; the token was not sent")
	case !p.relayed && !SameAddress(answer.Address, conn.RemoteAddr().String()):
		problem := unproven(fmt.Sprintf("%s passes connections on to a server at %.80q; the token was not sent", p.server,
			answer.Address))
		problem.Hint = "use https, or permit it with --token or DROVER_TOKEN"
		return problem
	}
	return nil
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

// SameAddress reports whether two texts name the same IP address and port.
func SameAddress(a, b string) bool {
	first, err := netip.ParseAddrPort(a)
	second, err2 := netip.ParseAddrPort(b)
	return err == nil && err2 == nil && first.Port() == second.Port() &&
		first.Addr().Unmap().WithZone("") == second.Addr().Unmap().WithZone("")
}

// challenge asks the server on a connection for a proof. It reads exactly one response, so that the connection can be
// used for further requests.
func challenge(conn net.Conn, server, id, nonce string) (answer Proof, err error) {
	query := url.Values{"token": {id}, "nonce": {nonce}}
	base, err := baseURL(server)
	if err != nil {
		return answer, err
	}
	request, err := http.NewRequest(http.MethodGet, base+ProofPath+"?"+query.Encode(), nil)
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
	body, err := io.ReadAll(response.Body)
	if err = errors.Join(err, response.Body.Close()); err != nil {
		return answer, err
	}
	if response.StatusCode != http.StatusOK {
		return answer, problemOf(server, response, body)
	}
	if err := decode(server, body, &answer); err != nil {
		return answer, err
	}
	if response.Close || in.Buffered() > 0 {
		return answer, unproven(server + " does not answer like a drover server; the token was not sent")
	}
	return answer, nil
}
