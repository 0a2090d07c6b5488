package access

import (
	"github.com/droverhq/drover/api/problem"
	"github.com/droverhq/drover/domain"
)

// Caller is who sent a request. The zero value may do nothing.
type Caller struct {
	// Origin is the caller as events name it.
	Origin domain.Origin
	// Scope is that of a person's token; empty for others.
	Scope domain.Scope
	// Token is the id of the token that was sent: a person's, or one to join with.
	Token string
	// Join is the id of a join token; it is good for joining alone.
	Join string
	// Machine and Instance are those of an agent with its own secret, which is good for its own machine alone.
	Machine  string
	Instance domain.ID
	// Joined are the settings of the token that the agent joined with.
	Joined domain.TokenSettings
}

// May returns a problem unless the caller has a scope.
func (c Caller) May(scope domain.Scope) error {
	switch {
	case c.Scope.Allows(scope):
		return nil
	case c.Machine != "":
		return problem.Forbidden("an agent's own secret is good for its own machine's reports and work alone").
			WithHint("use a token")
	case c.Join != "":
		return problem.Forbidden("a join token is good for joining alone").
			WithHint("use a token with the scope %s", scope)
	}
	return problem.Forbidden("the token's scope is %s", c.Scope).
		WithHint("this takes the scope %s", scope)
}

// IsAgentOf returns a problem unless the caller may speak for a machine: its own agent, or an admin.
func (c Caller) IsAgentOf(machine string) error {
	switch {
	case c.Scope.Allows(domain.AdminScope):
		return nil
	case c.Machine == "":
		return problem.Forbidden("only the agent of machine %s may do this", machine).
			WithHint("use its own secret, or an admin token")
	case c.Machine != machine:
		return problem.Forbidden("this agent is the one of machine %s, not of %s", c.Machine, machine)
	}
	return nil
}
