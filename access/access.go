package access

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"net/http"
	"reflect"
	"strings"
	"time"

	"github.com/droverhq/drover/api/client"
	"github.com/droverhq/drover/api/client/handshake"
	"github.com/droverhq/drover/api/problem"
	"github.com/droverhq/drover/domain"
	"github.com/droverhq/drover/engine"
	"github.com/droverhq/drover/projections"
)

// Access authenticates the callers of one server. It is safe for concurrent use.
type Access struct {
	engine   *engine.Engine
	clock    engine.Clock
	failures failures
	refusals refusals
	uses     uses
	audit    audit
	unknown  string // random; takes the place of the secrets of unknown tokens, see Prove
}

// New returns an Access that reads tokens from the view of the engine.
func New(e *engine.Engine, clock engine.Clock) *Access {
	return &Access{engine: e, clock: clock, audit: newAudit(), unknown: rand.Text()}
}

// Errors for invalid credentials. None of them reveals whether a token exists.
var (
	errNoToken = problem.New(client.Unauthorised, "the request has no token",
		"send Authorization: Bearer TOKEN; create a token with `drover token create`")
	errBadToken = problem.New(client.Unauthorised, "the token is unknown, revoked or expired",
		"create another one with `drover token create`")
	// ErrRateLimited rejects a caller without a valid credential after too many failures from its address.
	ErrRateLimited = problem.New(client.Unavailable, "too many requests with an invalid token from this address",
		"wait a minute; requests with a valid token are always accepted").WithStatus(http.StatusTooManyRequests)
)

// Authenticate returns the caller of a request. bearer is the text of a token or of an agent's secret, and remote is
// the HOST:PORT of the sender. The error is a *problem.Problem.
func (a *Access) Authenticate(ctx context.Context, bearer, remote string) (Caller, error) {
	if bearer == "" {
		return Caller{}, errNoToken
	}
	c, ok := a.identify(bearer)
	if !ok {
		if err := a.expired(bearer); err != nil { // the token was valid once, so this is no guess
			return Caller{}, err
		}
	}
	if !ok && a.RateLimited(remote) { // before the expensive CatchUp; requests with a valid token are never limited
		a.recordRefusal(remote, "", ErrRateLimited.Detail)
		return Caller{}, ErrRateLimited
	}
	if !ok && a.engine.CatchUp(ctx) == nil {
		c, ok = a.identify(bearer) // another server may just have created the token
	}
	if !ok {
		a.RecordFailure(remote)
		a.recordRefusal(remote, "", errBadToken.Detail)
		return Caller{}, errBadToken
	}
	c.Remote = remote
	if c.Token != "" && a.uses.use(c.Token, a.clock.Now()) {
		a.Record(c, Entry{Kind: TokenUsed})
	}
	return c, nil
}

// identify returns the caller that a credential identifies.
func (a *Access) identify(text string) (Caller, bool) {
	if identity, isAgent := strings.CutPrefix(text, client.AgentPrefix); isAgent {
		return a.agentCaller(identity)
	}
	return a.tokenCaller(text)
}

func (a *Access) tokenCaller(text string) (c Caller, ok bool) {
	token, ok := a.Token(text)
	if !ok || !a.isValid(&token) {
		return Caller{}, false
	}
	c = Caller{Origin: originOf(&token), Principal: a.principal(token.ID), Token: token.ID,
		Person: token.Settings.Person, Until: token.Settings.Until}
	if token.Settings.Join {
		c.Join = token.ID
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
			return Caller{Origin: domain.AgentOrigin(instance), Principal: domain.AgentPrincipal(use.Machine),
				Machine: use.Machine, Instance: instance, Joined: use.Settings}, true
		}
	}
	return Caller{}, false
}

// principal returns what a token is granted now. The caller has checked its expiry.
func (a *Access) principal(token string) (s domain.Principal) {
	a.engine.Read(func(v *projections.View) { s = domain.TokenPrincipal(v.World(), token, time.Time{}) })
	return s
}

// originOf returns the origin of commands that are sent with a token: the person who owns the token, or else the token
// itself.
func originOf(t *domain.Token) domain.Origin {
	o := domain.Origin{By: "token " + t.ID, Actor: domain.Actor{Kind: domain.TokenActor, ID: t.ID, Token: t.ID,
		TokenName: t.Settings.Name}}
	if t.Settings.Person != "" {
		o.Actor.Kind, o.Actor.ID = domain.PersonActor, t.Settings.Person
	}
	return o
}

// isValid reports whether a token is not revoked and has not expired.
func (a *Access) isValid(t *domain.Token) bool {
	return t.Valid(a.now())
}

// now returns the time by which tokens expire. It is the earliest credible time: one clock that is ahead must not lock
// everybody out.
func (a *Access) now() time.Time {
	now, _ := a.engine.CredibleTime()
	return now
}

// expired returns a problem if bearer is the text of a token that has expired and is not revoked. Only somebody who has
// the whole text learns when it expired.
func (a *Access) expired(bearer string) error {
	t, ok := a.Token(bearer)
	if !ok || t.Revoked || !t.Expired(a.now()) {
		return nil
	}
	kind := "--scope " + string(t.Settings.Scope)
	switch {
	case t.Settings.Join:
		kind = "--join"
	case t.Settings.Permission != "":
		kind = "--permission " + string(t.Settings.Permission)
	}
	return problem.New(client.Unauthorised,
		"token "+t.Label()+" expired at "+t.Settings.Until.UTC().Format(time.RFC3339),
		"ask somebody with an admin token for another one: `drover token create "+kind+" --name "+t.Label()+"`")
}

// soon is how long before its expiry the bearer of a token is warned.
const soon = 7 * 24 * time.Hour

// ExpiresSoon returns when the caller's token expires, if it expires within a week.
func (a *Access) ExpiresSoon(c Caller) (at time.Time, ok bool) {
	if c.Until == nil || c.Join != "" || c.Until.Sub(a.now()) > soon {
		return time.Time{}, false
	}
	return *c.Until, true
}

// isUnchanged reports whether the caller's token is still valid and grants what it granted when the caller was
// authenticated. It is true for a caller without a token, which was admitted because of its address.
func (a *Access) isUnchanged(c Caller) (ok bool) {
	if c.Token == "" {
		return true
	}
	a.engine.Read(func(v *projections.View) {
		t := v.Tokens[c.Token]
		ok = t != nil && a.isValid(t) &&
			reflect.DeepEqual(c.Principal, domain.TokenPrincipal(v.World(), c.Token, time.Time{}))
	})
	return ok
}

// expiryInterval is how often Watch checks whether the token has expired.
const expiryInterval = time.Second

// Watch calls end and returns when the caller's token expires, is revoked or is granted something else, on any server.
// It also returns when ctx is done.
func (a *Access) Watch(ctx context.Context, c Caller, end func()) {
	ticker := time.NewTicker(expiryInterval)
	defer ticker.Stop()
	for {
		changed := a.engine.Changed()
		if !a.isUnchanged(c) {
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

// Token returns the token that text authenticates, even if it is revoked or expired. The check takes equally long for
// an unknown id and for a wrong secret.
func (a *Access) Token(text string) (token domain.Token, ok bool) {
	id, secret, _ := strings.Cut(text, ".")
	a.engine.Read(func(v *projections.View) {
		if t := v.Tokens[id]; t != nil {
			token = *t
		}
	})
	return token, Matches(token.Hash, secret)
}

// TokenByID returns the token of an id, even if it is revoked or expired.
func (a *Access) TokenByID(id string) (token domain.Token, ok bool) {
	a.engine.Read(func(v *projections.View) {
		if t := v.Tokens[id]; t != nil {
			token, ok = *t, true
		}
	})
	return token, ok
}

// Use is one join of an instance, with the current state of its token.
type Use struct {
	domain.TokenUsed
	// Token is the id of the token.
	Token string
	// Settings are the settings of the token.
	Settings domain.TokenSettings
	// Revoked means that the token was revoked.
	Revoked bool
}

// Uses returns the joins of an instance.
func (a *Access) Uses(instance domain.ID) (found []Use) {
	a.engine.Read(func(v *projections.View) {
		for _, t := range v.TokensOf(instance) {
			found = append(found, Use{TokenUsed: t.Used[instance], Token: t.ID, Settings: t.Settings, Revoked: t.Revoked})
		}
	})
	return found
}

// JoinToken returns the join token with an id, even if it is revoked or expired. The caller has not proved anything yet.
func (a *Access) JoinToken(id string) (token domain.Token, ok bool) {
	a.engine.Read(func(v *projections.View) {
		if t := v.Tokens[id]; t != nil && t.Settings.Join {
			token, ok = *t, true
		}
	})
	return token, ok
}

// HashWithoutVerifier returns the hash of the secret that a name of package handshake stands for, if the log has no
// verifier of the secret. Otherwise it returns an empty text.
func (a *Access) HashWithoutVerifier(name string) (hash string) {
	if text, isAgent := strings.CutPrefix(name, handshake.AgentName("")); isAgent {
		instance, err := domain.ParseID(text)
		if err != nil {
			return ""
		}
		for _, use := range a.Uses(instance) {
			if use.Verifier == "" {
				hash = use.Secret
			}
		}
		return hash
	}
	id, _ := strings.CutPrefix(name, handshake.JoinName(""))
	if token, ok := a.JoinToken(id); ok && token.Verifier == "" {
		return token.Hash
	}
	return ""
}

// Matches reports whether secret has the given hash. It takes constant time.
func Matches(hash, secret string) bool {
	return hash != "" && subtle.ConstantTimeCompare([]byte(hash), []byte(Hash(secret))) == 1
}

// Hash returns the hash of a secret as the log stores it: the SHA-256 sum in hex.
func Hash(secret string) string { return client.HashSecret(secret) }
