package domain

import "slices"

// PolicyOrigin says who chose the policy of a machine.
type PolicyOrigin string

// The origins of a machine's policy.
const (
	PolicyByDefault PolicyOrigin = "default" // nobody chose another one
	PolicyByToken   PolicyOrigin = "token"   // the join token gives it
	PolicyByAgent   PolicyOrigin = "agent"   // the agent asked for it at its first join
	PolicyByPerson  PolicyOrigin = "person"  // a person or program applied it
)

// policyOrigin returns who chose the policy of a new machine.
func (e MachineAdded) policyOrigin() PolicyOrigin {
	switch {
	case e.PolicyToken != "":
		return PolicyByToken
	case e.Policy == "" || e.Policy == DefaultPolicy:
		return PolicyByDefault
	case e.By == "agent":
		return PolicyByAgent
	}
	return PolicyByPerson
}

// TokenPolicy returns the policy that join tokens give to a machine that an instance joins as, and the token. It is that
// of the first token that the instance used for the machine, that is not revoked, and that names a policy. Both are
// empty if none does.
func TokenPolicy(w World, instance ID, machine string) (policy, token string) {
	if instance.IsZero() { // a person or program adds the machine
		return "", ""
	}
	all := w.TokensOf(instance)
	i := slices.IndexFunc(all, func(t *Token) bool {
		return !t.Revoked && t.Settings.Policy != "" && t.Used[instance].Machine == machine
	})
	if i < 0 {
		return "", ""
	}
	return all[i].Settings.Policy, all[i].ID
}

// checkPolicy checks the policy that a join token gives.
func (s TokenSettings) checkPolicy(w World) *Rejection {
	switch {
	case s.Policy == "":
		return nil
	case !s.Join:
		return invalid("only a join token can give machines a policy").hint("omit the policy, or create a join token")
	case w.Policy(s.Policy) == nil:
		return policyNotFound(s.Policy)
	}
	return nil
}
