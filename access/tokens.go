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

// TokenRequest is a request to create a token.
type TokenRequest struct {
	Join  bool
	Scope domain.Scope
	// Person is the id of the person who owns the token; empty: no owner.
	Person string
	// Uses is the maximum number of uses of a join token; nil: 1, 0: no limit.
	Uses *int
	// Until is when the token expires; nil: never, or in one hour for a join token.
	Until        *time.Time
	Environments []string
	Roles        []string
	// Permission, with the projects and environments that limit it, is the permission of a token without a scope.
	Permission domain.Permission
	Projects   []string
	// Groups are the groups of the owner.
	Groups []string
}

// Settings validates the request and returns the settings of the token, with defaults filled in.
func (n TokenRequest) Settings(now time.Time) (domain.TokenSettings, error) {
	s := domain.TokenSettings{Join: n.Join, Scope: n.Scope, Person: n.Person, Until: n.Until, Environments: n.Environments,
		Roles: n.Roles, Permission: n.Permission, Projects: n.Projects, Groups: n.Groups}
	switch {
	case !n.Join && (n.Uses != nil || len(n.Roles) > 0):
		return s, problem.Invalid("uses and roles apply only to join tokens").
			WithHint("set join to true, or leave them out")
	case !n.Join && n.Permission == "" && len(n.Environments) > 0:
		return s, problem.Invalid("environments apply only to join tokens and to tokens with a permission").
			WithHint("set permission or join, or leave them out")
	case n.Join && n.Person != "":
		return s, problem.Invalid("a join token cannot have a person").WithHint("leave person out, or set join to false")
	case n.Join && n.Scope != "":
		return s, problem.Invalid("a join token cannot have a scope").WithHint("leave scope out, or set join to false")
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
