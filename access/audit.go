package access

import (
	"errors"
	"strings"
	"sync/atomic"
	"time"

	"github.com/droverhq/drover/api/client"
	"github.com/droverhq/drover/api/problem"
	"github.com/droverhq/drover/domain"
	"github.com/droverhq/drover/projections"
)

// Kind is what a line of the access log reports.
type Kind string

// The kinds of lines of the access log.
const (
	// Denied means that a request, or an agent, was refused.
	Denied Kind = "denied"
	// TokenUsed is the first use of a token on this server in an hour.
	TokenUsed Kind = "token-used"
	// TokenCreated and TokenRevoked mean that a request created or revoked the token Subject.
	TokenCreated Kind = "token-created"
	TokenRevoked Kind = "token-revoked"
	// ServerKeyRotated means that a request replaced the server key.
	ServerKeyRotated Kind = "server-key-rotated"
	// AccessDefined and AccessDeleted mean that a request changed or deleted the Access resource Subject.
	AccessDefined Kind = "access-defined"
	AccessDeleted Kind = "access-deleted"
	// Exported and BackedUp mean that the sending of the log began.
	Exported Kind = "export"
	BackedUp Kind = "backup"
	// Suppressed and Lost count the lines that were not written, because of the rate limit or of a fault of the disk.
	Suppressed Kind = "suppressed"
	Lost       Kind = "lost"
)

// Reason is why a request was denied. It is a label of a metric.
type Reason string

// The reasons of denials.
const (
	NoToken      Reason = "no-token"
	InvalidToken Reason = "invalid-token"
	ExpiredToken Reason = "expired-token"
	RateLimited  Reason = "rate-limited"
	NotPermitted Reason = "not-permitted"
	AgentRefused Reason = "agent-refused"
)

// Reasons lists all reasons of denials.
var Reasons = []Reason{NoToken, InvalidToken, ExpiredToken, RateLimited, NotPermitted, AgentRefused}

// UnknownToken takes the place of the id of a token that does not exist. What the caller sent is not recorded, because
// it may be a secret.
const UnknownToken = "unknown"

// Entry is one line of the access log. It never contains a secret: routes are recorded without their parameters, and
// tokens by their id.
type Entry struct {
	Time time.Time `json:"time"`
	Kind Kind      `json:"event"`
	// Remote is the HOST:PORT of the sender.
	Remote string `json:"remote,omitempty"`
	// Token is the id of the token of the request, UnknownToken for an invalid one, and empty without a token. TokenName
	// and Owner are its name and the id of its owner.
	Token     string `json:"token,omitempty"`
	TokenName string `json:"tokenName,omitempty"`
	Owner     string `json:"owner,omitempty"`
	// Machine is the name of the agent that sent the request, which is unverified if the agent was refused.
	Machine string `json:"machine,omitempty"`
	// Route is the method and the pattern of the route, such as DELETE /api/v1/tokens/{name}.
	Route string `json:"route,omitempty"`
	// Reason and Detail are why the request was denied.
	Reason Reason `json:"reason,omitempty"`
	Detail string `json:"detail,omitempty"`
	// Subject is the id and the name of the token that was created or revoked, the public half of the new server key, or
	// the name of the Access.
	Subject string `json:"subject,omitempty"`
	// Count is the number of lines that were not written.
	Count int `json:"count,omitempty"`
}

// Log writes the access log. Record must not block, and must bound and clean the texts of an entry.
type Log interface{ Record(e Entry) }

// audit passes entries on to the access log and counts denials.
type audit struct {
	log    Log // nil: there is no access log; set before the first request
	denied map[Reason]*atomic.Int64
}

func newAudit() audit {
	a := audit{denied: map[Reason]*atomic.Int64{}}
	for _, reason := range Reasons {
		a.denied[reason] = new(atomic.Int64)
	}
	return a
}

// LogTo sets the access log. It is called before the first request.
func (a *Access) LogTo(log Log) { a.audit.log = log }

// DenialCount returns how many requests were denied for a reason since the start of this server.
func (a *Access) DenialCount(reason Reason) int64 { return a.audit.denied[reason].Load() }

// Record writes an entry about a request of a caller to the access log.
func (a *Access) Record(c Caller, e Entry) {
	if a.audit.log == nil {
		return
	}
	e.Time, e.Remote = a.clock.Now().UTC(), c.Remote
	e.Token, e.TokenName, e.Owner = c.Token, c.Origin.Actor.TokenName, c.Person
	if e.Machine == "" {
		e.Machine = c.Machine
	}
	a.audit.log.Record(e)
}

// RecordJoin records that the agent of a machine joined with a join token.
func (a *Access) RecordJoin(t *domain.Token, machine, remote string) {
	if a.uses.use(t.ID, a.clock.Now()) {
		c := Caller{Origin: originOf(t), Token: t.ID, Person: t.Settings.Person, Remote: remote}
		a.Record(c, Entry{Kind: TokenUsed, Machine: machine})
	}
}

// SubjectOf returns the id and the name of a token. text is one of them.
func (a *Access) SubjectOf(text string) (subject string) {
	subject = text
	a.engine.Read(func(v *projections.View) {
		if t, _ := domain.FindToken(v.World(), text); t != nil {
			subject = strings.TrimSpace(t.ID + " " + t.Settings.Name)
		}
	})
	return subject
}

// RecordDenial records that a request was denied. c is the caller, as far as it is known, and bearer is what it sent as
// a credential.
func (a *Access) RecordDenial(c Caller, bearer, route string, err error) {
	reason := reasonOf(err)
	a.audit.denied[reason].Add(1)
	if a.audit.log == nil {
		return
	}
	if c.Token == "" && c.Machine == "" && bearer != "" {
		c.Token, c.Origin.Actor.TokenName, c.Person = a.claimed(bearer)
	}
	a.Record(c, Entry{Kind: Denied, Route: route, Reason: reason, Detail: problem.Of(err).Detail})
}

// claimed returns the token that a refused credential claims to be.
func (a *Access) claimed(bearer string) (id, name, owner string) {
	id, _, _ = strings.Cut(bearer, ".")
	known := false
	a.engine.Read(func(v *projections.View) {
		if t := v.Tokens[id]; t != nil {
			known, name, owner = true, t.Settings.Name, t.Settings.Person
		}
	})
	if !known {
		return UnknownToken, "", ""
	}
	return id, name, owner
}

func reasonOf(err error) Reason {
	switch {
	case errors.Is(err, errNoToken):
		return NoToken
	case errors.Is(err, errBadToken):
		return InvalidToken
	case errors.Is(err, ErrRateLimited):
		return RateLimited
	case problem.Of(err).Kind == client.Unauthorised:
		return ExpiredToken
	}
	return NotPermitted
}
