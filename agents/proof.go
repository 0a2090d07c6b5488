package agents

import (
	"net"
	"net/http"
	"slices"
	"strings"

	"github.com/droverhq/drover/access"
	"github.com/droverhq/drover/api/client"
	"github.com/droverhq/drover/api/client/handshake"
	"github.com/droverhq/drover/api/problem"
	"github.com/droverhq/drover/domain"
)

// greeting is what a server knows about a connection before the hello.
type greeting struct {
	remote string
	// protected means that nobody else can read the connection: it has TLS or is a Unix socket.
	protected bool
	// agent and joining are the handshakes of the agent and of its join token; nil: the agent started none.
	agent, joining *handshake.Challenge
	budget         *helloBudget // of the connection until the agent is admitted; nil over plain HTTP
}

// greet answers the handshakes that the request of a WebSocket starts. header receives the answers. It reads only the
// view, and costs little: nobody has proved anything yet.
func (h *Hub) greet(header http.Header, r *http.Request) greeting {
	g := greeting{remote: r.RemoteAddr}
	on := handshake.Connection{TLS: r.TLS}
	if local, ok := r.Context().Value(http.LocalAddrContextKey).(net.Addr); ok && local.Network() != "unix" {
		on.Address, on.Client = local.String(), r.RemoteAddr
	}
	for _, each := range []struct {
		first, known string
		challenge    **handshake.Challenge
	}{
		{handshake.Header, handshake.KnownHeader, &g.agent},
		{handshake.JoinHeader, handshake.JoinKnownHeader, &g.joining},
	} {
		first := r.Header.Get(each.first)
		if first == "" {
			continue
		}
		challenge, answer := handshake.Receive(first, on)
		header.Set(each.first, answer)
		if challenge != nil {
			if each.challenge == &g.agent {
				header.Set(handshake.KeyHeader, challenge.Sign(h.cfg.Engine.ServerKey()))
			}
			header.Set(each.known, challenge.Known(h.cfg.Access.HashWithoutVerifier(challenge.Name)))
			*each.challenge = challenge
		}
	}
	return g
}

// proofs is what an agent has proved, and the answers that prove to the agent that this server knows the same.
type proofs struct {
	// owned lists the uses of join tokens whose secret the agent knows.
	owned []access.Use
	// token is the join token that the agent knows; nil: none.
	token                 *domain.Token
	agentFinal, joinFinal string
}

// uses returns the uses whose secret the agent knows, without the state of their tokens.
func (p proofs) uses() (uses []domain.TokenUsed) {
	for _, use := range p.owned {
		uses = append(uses, use.TokenUsed)
	}
	return uses
}

// prove checks the proofs of a request against the view.
func (h *Hub) prove(j joinRequest) (p proofs) {
	uses := h.cfg.Access.Uses(j.instance)
	for _, use := range uses {
		if final, ok := j.owns(use); ok {
			p.owned = append(p.owned, use)
			p.agentFinal = final
		}
	}
	if len(uses) == 0 && j.agent != nil && j.verifier != "" { // a new instance shows that it knows its own secret
		p.agentFinal, _ = j.agent.Check(j.verifier, j.proof)
	}
	if token, ok := h.cfg.Access.Token(j.join); ok && token.Settings.Join {
		p.token = &token
		if j.joining != nil && j.joining.Name == handshake.JoinName(token.ID) {
			_, secret, _ := strings.Cut(j.join, ".")
			p.joinFinal, _ = j.joining.Check(handshake.VerifierOf(j.joining.Name, secret), j.joinProof)
		}
	}
	if p.token != nil || j.joining == nil {
		return p
	}
	id, _ := strings.CutPrefix(j.joining.Name, handshake.JoinName(""))
	if token, ok := h.cfg.Access.JoinToken(id); ok && token.Verifier != "" {
		if final, err := j.joining.Check(token.Verifier, j.joinProof); err == nil {
			p.token, p.joinFinal = &token, final
		}
	}
	return p
}

// owns reports whether the agent knows the secret of a use. final proves that this server knows it too.
func (j joinRequest) owns(use access.Use) (final string, ok bool) {
	if j.agent == nil { // an earlier version of drover
		return "", access.Matches(use.Secret, j.secret)
	}
	verifier := use.Verifier
	if verifier == "" && access.Matches(use.Secret, j.secret) {
		verifier = j.verifier
	}
	final, err := j.agent.Check(verifier, j.proof)
	return final, err == nil
}

// errSecretInPlainText refuses an agent of an earlier version, which sends its secret.
var errSecretInPlainText = problem.New(client.Forbidden,
	"this agent sends its secret, and the connection has neither TLS nor a Unix socket",
	"upgrade the agent, or connect it with https:// or unix:///PATH; behind a proxy that terminates TLS, start the server "+
		"with --trusted-proxy")

// checkProtection refuses an agent that sends its secret over a connection that others can read.
func (g greeting) checkProtection() error {
	if g.agent != nil || g.protected {
		return nil
	}
	return errSecretInPlainText
}

// form returns the form of authentication.
func (g greeting) form() string {
	switch {
	case g.agent == nil:
		return client.SecretForm
	case g.agent.Proxied:
		return client.ProxiedForm
	}
	return client.ProofForm
}

// holds reports whether a use belongs to the secret with which a session was opened.
func (s *session) holds(u access.Use) bool {
	return u.Machine == s.machine && slices.ContainsFunc(s.owned, func(own domain.TokenUsed) bool {
		return own.Instance == u.Instance && (own.Secret != "" && own.Secret == u.Secret ||
			own.Verifier != "" && own.Verifier == u.Verifier)
	})
}
