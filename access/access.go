package access

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"net/http"
	"strings"
	"time"

	"github.com/droverhq/drover/api/client"
	"github.com/droverhq/drover/api/problem"
	"github.com/droverhq/drover/domain"
	"github.com/droverhq/drover/engine"
	"github.com/droverhq/drover/projections"
)

// Access knows the callers of one server. Its methods may be called from many goroutines.
type Access struct {
	engine   *engine.Engine
	clock    engine.Clock
	failures failures
	refusals refusals
}

// New returns an Access that reads tokens from the engine's fold.
func New(e *engine.Engine, clock engine.Clock) *Access { return &Access{engine: e, clock: clock} }

// agentPrefix begins the bearer text of an agent's own secret: agent:INSTANCE:SECRET.
const agentPrefix = "agent:"

// Why a credential is refused. No error reveals whether a token with that id exists.
var (
	errNoToken  = problem.New(client.Unauthorised, "the request carries no token", "send Authorization: Bearer TOKEN; `drover token create` makes one")
	errBadToken = problem.New(client.Unauthorised, "the token is not known, was revoked or has expired", "`drover token create` makes another one")
	// ErrTooFast refuses an unknown caller whose address failed to prove itself too often.
	ErrTooFast = problem.New(client.Unavailable, "too many requests with a bad token came from this address",
		"wait a minute; a good token is taken at any time").WithStatus(http.StatusTooManyRequests)
)

// Caller finds out who sent bearer, the text of a token or of an agent's own secret, from a remote HOST:PORT.
// The error is a *problem.Problem.
func (a *Access) Caller(ctx context.Context, bearer, remote string) (Caller, error) {
	if bearer == "" {
		return Caller{}, errNoToken
	}
	c, ok := a.proven(bearer)
	if !ok && a.TooFast(remote) { // it costs nothing more; whoever has a good token is let in all the same
		a.Refused(remote, "", ErrTooFast.Detail)
		return Caller{}, ErrTooFast
	}
	if !ok && a.engine.CatchUp(ctx) == nil {
		c, ok = a.proven(bearer) // another server may have made the token a moment ago
	}
	if !ok {
		a.Failed(remote)
		a.Refused(remote, "", errBadToken.Detail)
		return Caller{}, errBadToken
	}
	return c, nil
}

// proven returns the caller that a credential identifies.
func (a *Access) proven(text string) (Caller, bool) {
	if identity, isAgent := strings.CutPrefix(text, agentPrefix); isAgent {
		return a.agentCaller(identity)
	}
	return a.tokenCaller(text)
}

func (a *Access) tokenCaller(text string) (c Caller, ok bool) {
	token, ok := a.Token(text)
	if !ok || !a.isGood(&token) {
		return Caller{}, false
	}
	c = Caller{Origin: originOf(&token), Scope: token.Settings.Scope, Token: token.ID}
	if token.Settings.Join {
		c.Scope, c.Join = "", token.ID
	}
	return c, true
}

func (a *Access) agentCaller(identity string) (Caller, bool) {
	text, secret, _ := strings.Cut(identity, ":")
	instance, err := domain.ParseID(text)
	if err != nil {
		return Caller{}, false
	}
	for _, use := range a.Uses(instance) {
		if !use.Revoked && Matches(use.Secret, secret) {
			return Caller{Origin: domain.AgentOrigin(instance), Machine: use.Machine, Instance: instance, Joined: use.Settings}, true
		}
	}
	return Caller{}, false
}

// originOf is the origin of what is asked for with a token: the person whom it belongs to, or the token itself.
func originOf(t *domain.Token) domain.Origin {
	o := domain.Origin{By: "token " + t.ID, Actor: domain.Actor{Kind: domain.TokenActor, ID: t.ID, Token: t.ID}}
	if t.Settings.Person != "" {
		o.Actor.Kind, o.Actor.ID = domain.PersonActor, t.Settings.Person
	}
	return o
}

// isGood says that a token was neither revoked nor has expired.
func (a *Access) isGood(t *domain.Token) bool {
	return !t.Revoked && (t.Settings.Until == nil || a.clock.Now().Before(*t.Settings.Until))
}

// stands reports whether the caller's token is still valid. A caller without a token was admitted by its address.
func (a *Access) stands(c Caller) (ok bool) {
	if c.Token == "" {
		return true
	}
	a.engine.Read(func(v *projections.View) {
		t := v.Tokens[c.Token]
		ok = t != nil && a.isGood(t)
	})
	return ok
}

// expiryEvery bounds how late it is noticed that the token of an open stream has expired.
const expiryEvery = time.Second

// Watch calls end when the caller's token expires or is revoked by any server. It returns then, or with ctx.
func (a *Access) Watch(ctx context.Context, c Caller, end func()) {
	ticker := time.NewTicker(expiryEvery)
	defer ticker.Stop()
	for {
		changed := a.engine.Changed()
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

// Token returns the token that text authenticates, even if it was revoked or has expired. An unknown id takes as long as
// a wrong secret.
func (a *Access) Token(text string) (token domain.Token, ok bool) {
	id, secret, _ := strings.Cut(text, ".")
	a.engine.Read(func(v *projections.View) {
		if t := v.Tokens[id]; t != nil {
			token = *t
		}
	})
	return token, Matches(token.Hash, secret)
}

// Use is one join of an instance, with what became of the token.
type Use struct {
	domain.TokenUsed
	// Settings are those of the token.
	Settings domain.TokenSettings
	Revoked  bool
}

// Uses returns the joins of an instance.
func (a *Access) Uses(instance domain.ID) (found []Use) {
	a.engine.Read(func(v *projections.View) {
		for _, t := range v.TokensOf(instance) {
			found = append(found, Use{TokenUsed: t.Used[instance], Settings: t.Settings, Revoked: t.Revoked})
		}
	})
	return found
}

// Matches compares the hash of a secret with the one in the log, in constant time.
func Matches(hash, secret string) bool {
	return subtle.ConstantTimeCompare([]byte(hash), []byte(Hash(secret))) == 1
}

// Hash is the form in which the log has a secret.
func Hash(secret string) string {
	sum := sha256.Sum256([]byte(secret))
	return hex.EncodeToString(sum[:])
}
