package access

import (
	"time"

	"github.com/droverhq/drover/domain"
)

// Caller is the authenticated sender of a request. The zero value has no permissions.
type Caller struct {
	// Origin identifies the caller in events.
	Origin domain.Origin
	// Principal is what the caller is granted.
	Principal domain.Principal
	// Token is the id of the token in the request; empty for agents with a secret. Person is the id of its owner, and
	// Until is when it expires; they are empty if it has none.
	Token  string
	Person string
	Until  *time.Time
	// Remote is the HOST:PORT of the sender.
	Remote string
	// Join is the id of the join token in the request. Callers with a join token can only join.
	Join string
	// Machine and Instance identify an agent that authenticated with its secret.
	Machine  string
	Instance domain.ID
	// Joined are the settings of the token that the agent joined with.
	Joined domain.TokenSettings
}

// Require returns a *domain.Rejection unless the caller may do what needs n.
func (c Caller) Require(n domain.Need) error {
	if r := c.Principal.Refuse(n); r != nil {
		return r
	}
	return nil
}

// RequireAgent returns a *domain.Rejection unless the caller may act as the agent of a machine.
func (c Caller) RequireAgent(machine string) error { return c.Require(domain.AgentNeed(machine)) }
