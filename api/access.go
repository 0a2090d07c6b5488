package api

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"github.com/droverhq/drover/api/client"
	"github.com/droverhq/drover/domain"
	"github.com/droverhq/drover/projections"
)

// caller is who sent a request.
type caller struct {
	name  string       // as the log tells it, "token 0123456789ab"
	scope domain.Scope // of a person's token; empty for others
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
)

// caller finds out who sent a request.
func (a *API) caller(r *http.Request) (caller, *Problem) {
	text, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	if !ok || text == "" {
		return caller{}, errNoToken
	}
	c, ok := a.bearer(text)
	if !ok && a.cfg.Engine.CatchUp(r.Context()) == nil {
		c, ok = a.bearer(text) // another server may have made the token a moment ago
	}
	if !ok {
		return caller{}, a.refuse(r)
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

// refuse answers a bad credential; one that comes too fast is told so, and costs nothing more.
func (a *API) refuse(r *http.Request) *Problem {
	if a.failures.tooFast(r.RemoteAddr) {
		return problem(client.Unavailable, "too many requests with a bad token came from this address", "wait a minute").status(http.StatusTooManyRequests)
	}
	return errBadToken
}

func (a *API) tokenCaller(text string) (c caller, ok bool) {
	token, ok := a.findToken(text)
	if !ok || token.Revoked || token.Settings.Until != nil && !a.cfg.Clock.Now().Before(*token.Settings.Until) {
		return caller{}, false
	}
	c = caller{name: "token " + token.ID, scope: token.Settings.Scope}
	if token.Settings.Join {
		c.scope, c.join = "", token.ID
	}
	return c, true
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

// failures bounds how fast one address may fail to prove itself.
type failures struct {
	mu sync.Mutex
	by map[string]*rate.Limiter
}

const (
	failuresAtOnce = 20
	failuresEvery  = 3 * time.Second
	// maxAddresses bounds the memory; beyond it all begin anew.
	maxAddresses = 10_000
)

func (f *failures) tooFast(remote string) bool {
	host, _, err := net.SplitHostPort(remote)
	if err != nil {
		host = remote
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.by == nil || len(f.by) >= maxAddresses {
		f.by = map[string]*rate.Limiter{}
	}
	limiter := f.by[host]
	if limiter == nil {
		limiter = rate.NewLimiter(rate.Every(failuresEvery), failuresAtOnce)
		f.by[host] = limiter
	}
	return !limiter.Allow()
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
