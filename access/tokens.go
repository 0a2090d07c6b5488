package access

import (
	"time"

	"github.com/droverhq/drover/api/problem"
	"github.com/droverhq/drover/domain"
)

// Defaults of a join token.
const (
	defaultUses    = 1
	defaultJoinFor = time.Hour
)

// NewToken is what somebody asks of a new token.
type NewToken struct {
	Join  bool
	Scope domain.Scope
	// Person is the id of the person whom the token belongs to; empty: nobody in particular.
	Person string
	// Uses bounds a join token; nil: once, 0: no limit.
	Uses *int
	// Until is when the token expires; nil: never, or in an hour for a join token.
	Until        *time.Time
	Environments []string
	Roles        []string
}

// Settings checks what is asked of a token and fills in the defaults.
func (n NewToken) Settings(now time.Time) (domain.TokenSettings, error) {
	s := domain.TokenSettings{Join: n.Join, Scope: n.Scope, Person: n.Person, Until: n.Until, Environments: n.Environments,
		Roles: n.Roles}
	switch {
	case !n.Join && (n.Uses != nil || len(n.Environments)+len(n.Roles) > 0):
		return s, problem.Invalid("uses, environments and roles are those of a join token").
			WithHint("send join: true, or leave them out")
	case n.Join && n.Person != "":
		return s, problem.Invalid("a join token belongs to no person").WithHint("leave person out, or send join: false")
	case n.Join && n.Scope != "":
		return s, problem.Invalid("a join token has no scope").WithHint("leave scope out, or send join: false")
	}
	if err := problem.CheckDeadline(now, n.Until); err != nil || !n.Join {
		return s, err
	}
	s.Uses = defaultUses
	if n.Uses != nil {
		s.Uses = *n.Uses
	}
	if s.Until == nil {
		until := now.Add(defaultJoinFor).UTC().Truncate(time.Second)
		s.Until = &until
	}
	return s, nil
}
