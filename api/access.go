package api

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/droverhq/drover/api/client"
	"github.com/droverhq/drover/domain"
	"github.com/droverhq/drover/projections"
)

// caller is who sent a request.
type caller struct {
	name  string       // as the log tells it, "token 0123456789ab"
	scope domain.Scope // of a person's token; empty for others
	// token is the id of the token that was sent, a person's or one to join with.
	token string
	// join is the id of a join token; it is good for joining alone.
	join string
	// machine and instance are those of an agent with its own secret; good for its own machine alone.
	machine  string
	instance domain.ID
	joined   domain.TokenSettings // of the token that it joined with
}

type callerKey struct{}

func callerOf(ctx context.Context) caller {
	c, _ := ctx.Value(callerKey{}).(caller)
	return c
}

// agentPrefix begins the bearer text of an agent's own secret: agent:INSTANCE:SECRET.
const agentPrefix = "agent:"

// Why a credential is refused. None says whether a token of that id exists.
var (
	errNoToken  = problem(client.Unauthorised, "the request carries no token", "send Authorization: Bearer TOKEN; `drover token create` makes one")
	errBadToken = problem(client.Unauthorised, "the token is not known, was revoked or has expired", "`drover token create` makes another one")
	errTooFast  = problem(client.Unavailable, "too many requests with a bad token came from this address", "wait a minute; a good token is taken at any time").
			status(http.StatusTooManyRequests)
)

// caller finds out who sent a request.
func (a *API) caller(r *http.Request) (caller, *Problem) {
	text, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	if !ok || text == "" {
		return caller{}, errNoToken
	}
	c, ok := a.bearer(text)
	if !ok && a.failures.spent(r.RemoteAddr) { // it costs nothing more; whoever has a good token is let in all the same
		a.refusals.note(r.RemoteAddr, "", errTooFast.Detail, a.cfg.Clock.Now())
		return caller{}, errTooFast
	}
	if !ok && a.cfg.Engine.CatchUp(r.Context()) == nil {
		c, ok = a.bearer(text) // another server may have made the token a moment ago
	}
	if !ok {
		a.failures.note(r.RemoteAddr)
		a.refusals.note(r.RemoteAddr, "", errBadToken.Detail, a.cfg.Clock.Now())
		return caller{}, errBadToken
	}
	return c, nil
}

// bearer finds out who a text proves its sender to be.
func (a *API) bearer(text string) (caller, bool) {
	if identity, isAgent := strings.CutPrefix(text, agentPrefix); isAgent {
		return a.agentCaller(identity)
	}
	return a.tokenCaller(text)
}

func (a *API) tokenCaller(text string) (c caller, ok bool) {
	token, ok := a.findToken(text)
	if !ok || !a.isGood(&token) {
		return caller{}, false
	}
	c = caller{name: "token " + token.ID, scope: token.Settings.Scope, token: token.ID}
	if token.Settings.Join {
		c.scope, c.join = "", token.ID
	}
	return c, true
}

// isGood says that a token was neither revoked nor has expired.
func (a *API) isGood(t *domain.Token) bool {
	return !t.Revoked && (t.Settings.Until == nil || a.cfg.Clock.Now().Before(*t.Settings.Until))
}

// stands says whether what let a caller in would let it in now. Whoever came without a token was let in by its address.
func (a *API) stands(c caller) (ok bool) {
	if c.token == "" {
		return true
	}
	a.cfg.Engine.Read(func(v *projections.View) {
		t := v.Tokens[c.token]
		ok = t != nil && a.isGood(t)
	})
	return ok
}

// expiryEvery bounds how late it is noticed that the token of an open stream has expired.
const expiryEvery = time.Second

// whileItStands calls end when a caller's token is revoked, by whatever server, or expires; it returns then, or with ctx.
func (a *API) whileItStands(ctx context.Context, c caller, end func()) {
	ticker := time.NewTicker(expiryEvery)
	defer ticker.Stop()
	for {
		changed := a.cfg.Engine.Changed()
		if !a.stands(c) {
			end()
			return
		}
		select {
		case <-changed:
		case <-ticker.C:
		case <-ctx.Done():
			return
		}
	}
}

// findToken finds the token that a text proves, be it revoked or expired. It takes as long for an id that
// does not exist as for a wrong secret.
func (a *API) findToken(text string) (token domain.Token, ok bool) {
	id, secret, _ := strings.Cut(text, ".")
	a.cfg.Engine.Read(func(v *projections.View) {
		if t := v.Tokens[id]; t != nil {
			token = *t
		}
	})
	return token, sameHash(token.Hash, secret)
}

// sameHash compares the hash of a secret with what the log keeps, in constant time.
func sameHash(kept, secret string) bool {
	return subtle.ConstantTimeCompare([]byte(kept), []byte(hashOf(secret))) == 1
}

func hashOf(secret string) string {
	sum := sha256.Sum256([]byte(secret))
	return hex.EncodeToString(sum[:])
}

func (a *API) agentCaller(identity string) (caller, bool) {
	text, secret, _ := strings.Cut(identity, ":")
	instance, err := domain.ParseID(text)
	if err != nil {
		return caller{}, false
	}
	for _, use := range a.uses(instance) {
		if !use.revoked && sameHash(use.Secret, secret) {
			return caller{name: "agent", machine: use.Machine, instance: instance, joined: use.settings}, true
		}
	}
	return caller{}, false
}

// use is one join of an instance, with what became of the token.
type use struct {
	domain.TokenUsed
	settings domain.TokenSettings
	revoked  bool
}

// uses are the joins of an instance.
func (a *API) uses(instance domain.ID) (found []use) {
	a.cfg.Engine.Read(func(v *projections.View) {
		for _, t := range v.TokensOf(instance) {
			found = append(found, use{TokenUsed: t.Used[instance], settings: t.Settings, revoked: t.Revoked})
		}
	})
	return found
}

// may says whether a caller may use a route that takes this scope.
func (c caller) may(scope domain.Scope) *Problem {
	switch {
	case c.scope.Allows(scope):
		return nil
	case c.machine != "":
		return problem(client.Forbidden, "an agent's own secret is good for its own machine's reports and work alone", "use a token")
	case c.join != "":
		return problem(client.Forbidden, "a join token is good for joining alone", "use a token with the scope "+string(scope))
	}
	return problem(client.Forbidden, "the token's scope "+string(c.scope)+" does not go so far", "this takes the scope "+string(scope))
}

// enters says whether a caller may use an operation. An agent comes in for the machine that the path names if that is its
// own; where it names none, the route looks at what is sent.
func (c caller) enters(op *huma.Operation, machine string) *Problem {
	scope, _ := op.Metadata[scopeOf].(domain.Scope)
	switch {
	case op.Metadata[joinsIn] != nil && (c.join != "" || c.machine != ""):
		return nil
	case op.Metadata[agentsIn] != nil && c.machine != "":
		return c.isAgentOf(machine)
	}
	return c.may(scope)
}

// isAgentOf says whether a caller may speak for a machine: its own agent, or an admin.
func (c caller) isAgentOf(machine string) *Problem {
	switch {
	case c.scope.Allows(domain.AdminScope):
		return nil
	case c.machine == "":
		return problem(client.Forbidden, "only the agent of machine "+machine+" may do this", "use its own secret, or an admin token")
	case c.machine != machine:
		return problem(client.Forbidden, "this agent is the one of machine "+c.machine+", not of "+machine, "")
	}
	return nil
}

func loopback(r *http.Request) bool {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	ip := net.ParseIP(host)
	return err == nil && ip != nil && ip.IsLoopback()
}
