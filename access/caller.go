package access

import (
	"github.com/droverhq/drover/api/problem"
	"github.com/droverhq/drover/domain"
)

// Caller is the authenticated sender of a request. The zero value has no permissions.
type Caller struct {
	// Origin identifies the caller in events.
	Origin domain.Origin
	// Scope is the scope of the token; empty for agents and join tokens.
	Scope domain.Scope
	// Token is the id of the token in the request; empty for agents with a secret.
	Token string
	// Join is the id of the join token in the request. Callers with a join token can only join.
	Join string
	// Machine and Instance identify an agent that authenticated with its secret.
	Machine  string
	Instance domain.ID
	// Joined are the settings of the token that the agent joined with.
	Joined domain.TokenSettings
}

// RequireScope returns a problem unless the caller has the scope.
func (c Caller) RequireScope(scope domain.Scope) error {
	switch {
	case c.Scope.Allows(scope):
		return nil
	case c.Machine != "":
		return problem.Forbidden("the secret of an agent is valid only for requests about its own machine").
			WithHint("use a token")
	case c.Join != "":
		return problem.Forbidden("a join token is valid only for joining").
			WithHint("use a token with scope %s", scope)
	}
	return problem.Forbidden("the token has scope %s", c.Scope).
		WithHint("use a token with scope %s", scope)
}

// RequireAgent returns a problem unless the caller is the agent of the machine or an admin.
func (c Caller) RequireAgent(machine string) error {
	switch {
	case c.Scope.Allows(domain.AdminScope):
		return nil
	case c.Machine == "":
		return problem.Forbidden("only the agent of machine %s can send this request", machine).
			WithHint("use the agent's secret or a token with scope %s", domain.AdminScope)
	case c.Machine != machine:
		return problem.Forbidden("this agent belongs to machine %s, not to %s", c.Machine, machine)
	}
	return nil
}
