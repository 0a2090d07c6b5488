package access

import (
	"cmp"
	"time"

	"github.com/droverhq/drover/api/problem"
	"github.com/droverhq/drover/domain"
)

// Defaults and limits of tokens.
const (
	defaultUses    = 1
	defaultJoinFor = time.Hour
	// maxLifetime is the longest time until a token expires. A longer one is a mistake; a token can also never expire.
	maxLifetime = 10 * 366 * 24 * time.Hour
)

// TokenRequest is a request to create a token.
type TokenRequest struct {
	// Name of the token; empty: Settings derives one from its id.
	Name  string
	Join  bool
	Scope domain.Scope
	// Person is the id of the person who owns the token; empty: no owner.
	Person string
	// Uses is the maximum number of uses of a join token; nil: 1, 0: no limit.
	Uses *int
	// MaxMachines is how many machines that joined with the token can exist at the same time; 0: no limit. nil means
	// domain.DefaultMaxMachines for a join token without a limit of uses.
	MaxMachines *int
	// Until is when the token expires, and For how long it is valid. At most one of them is set. Both nil: never, or in
	// one hour for a join token.
	Until        *time.Time
	For          *domain.Duration
	Environments []string
	Roles        []string
	// Permission, with the projects and environments that limit it, is the permission of a token without a scope.
	Permission domain.Permission
	Projects   []string
	// Groups are the groups of the owner.
	Groups []string
	// Machine is the only machine that can join; empty: any.
	Machine string
	// AnyEnvironment asks for a join token without a restriction to environments.
	AnyEnvironment bool
	// Policy is the machine policy of each new machine that joins; empty: none.
	Policy string
}

// Settings validates the request and returns the settings of the token with this id, with defaults filled in. now is
// the time by which tokens expire.
func (n TokenRequest) Settings(id string, now time.Time) (domain.TokenSettings, error) {
	s := domain.TokenSettings{Name: n.Name, Join: n.Join, Scope: n.Scope, Person: n.Person, Environments: n.Environments,
		Roles: n.Roles, Permission: n.Permission, Projects: n.Projects, Groups: n.Groups, Machine: n.Machine,
		AnyEnvironment: n.AnyEnvironment, Policy: n.Policy}
	switch {
	case !n.Join && (n.Machine != "" || n.AnyEnvironment || n.Policy != ""):
		return s, problem.Invalid("machine, policy and anyEnvironment apply only to join tokens").
			WithHint("set join to true, or leave them out")
	case !n.Join && (n.Uses != nil || n.MaxMachines != nil || len(n.Roles) > 0):
		return s, problem.Invalid("uses, maxMachines and roles apply only to join tokens").
			WithHint("set join to true, or leave them out")
	case !n.Join && n.Permission == "" && len(n.Environments) > 0:
		return s, problem.Invalid("environments apply only to join tokens and to tokens with a permission").
			WithHint("set permission or join, or leave them out")
	case n.Join && n.Scope != "":
		return s, problem.Invalid("a join token cannot have a scope").WithHint("leave scope out, or set join to false")
	}
	var err error
	if s.Until, err = n.expiry(now); err != nil {
		return s, err
	}
	if s.Name == "" {
		s.Name = DefaultName(s, id)
	}
	if !n.Join {
		return s, nil
	}
	s.Uses = defaultUses
	if n.Uses != nil {
		s.Uses = *n.Uses
	}
	switch {
	case n.MaxMachines != nil:
		s.MaxMachines = *n.MaxMachines
	case s.Uses == 0:
		s.MaxMachines = domain.DefaultMaxMachines
	}
	if s.Until == nil {
		s.Until = after(now, defaultJoinFor)
	}
	return s, nil
}

// expiry returns when the token expires, nil for never.
func (n TokenRequest) expiry(now time.Time) (*time.Time, error) {
	until := n.Until
	switch {
	case n.For != nil && until != nil:
		return nil, problem.Invalid("for and until exclude each other").WithHint("leave one of them out")
	case n.For != nil && *n.For <= 0:
		return nil, problem.Invalid("invalid for %s", *n.For).
			WithHint("use a positive duration, such as 720h, or leave it out")
	case n.For != nil:
		until = after(now, min(time.Duration(*n.For), 2*maxLifetime)) // refused below, without an overflow
	}
	if err := problem.CheckDeadline(now, until); err != nil {
		return nil, err
	}
	if until != nil && until.After(now.Add(maxLifetime)) {
		return nil, problem.Invalid("the token would be valid until %s, for more than 10 years",
			until.UTC().Format(time.DateOnly)).
			WithHint("use a shorter time, or leave it out for a token that never expires")
	}
	return until, nil
}

// after returns the time after d as tokens record it.
func after(now time.Time, d time.Duration) *time.Time {
	at := now.Add(d).UTC().Truncate(time.Second)
	return &at
}

// idDigits is the number of digits of its id in the default name of a token.
const idDigits = 8

// DefaultName returns the name of a token that nobody named: its kind and the beginning of its id.
func DefaultName(s domain.TokenSettings, id string) string {
	return TokenKind(s) + "-" + id[:min(idDigits, len(id))]
}

// TokenKind returns join for a join token, or else the scope or the permission.
func TokenKind(s domain.TokenSettings) string {
	if s.Join {
		return "join"
	}
	return cmp.Or(string(s.Scope), string(s.Permission))
}
