package domain

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// policyWorld has the policies strict and lax, and a function by which an agent joins with a token of a policy.
func policyWorld(t *testing.T) (w *testWorld, join func(machine, given, asked string) MachineAdded) {
	w = shopWorld(t)
	w.do(ApplyPolicy{Name: "strict"}, ApplyPolicy{Name: "lax"})
	n := uint64(500)
	return w, func(machine, given, asked string) MachineAdded {
		n++
		id := "token-" + machine
		w.do(CreateToken{ID: id, Settings: TokenSettings{Join: true, AnyEnvironment: true, Policy: given}},
			UseToken{ID: id, Instance: number(n), Machine: machine, Environment: "production"})
		added := w.do(ApplyMachine{Name: machine, Environment: "production", Policy: asked, Instance: number(n),
			Origin: AgentOrigin(number(n))})
		return added[0].(MachineAdded)
	}
}

func TestPolicyOfAJoinTokenBeatsThatOfTheAgent(t *testing.T) {
	w, join := policyWorld(t)
	for _, c := range []struct {
		machine, given, asked, policy, token string
		from                                 PolicyOrigin
	}{
		{"a", "strict", "lax", "strict", "token-a", PolicyByToken},
		{"b", "strict", "", "strict", "token-b", PolicyByToken},
		{"c", "strict", "unknown", "strict", "token-c", PolicyByToken},
		{"d", DefaultPolicy, "lax", DefaultPolicy, "token-d", PolicyByToken},
		{"e", "", "lax", "lax", "", PolicyByAgent},
		{"f", "", "", DefaultPolicy, "", PolicyByDefault},
	} {
		added := join(c.machine, c.given, c.asked)
		require.Equal(t, c.policy, added.Policy, c.machine)
		m := w.Machine(c.machine)
		require.Equal(t, []string{c.policy, string(c.from), c.token}, []string{m.Policy, string(m.PolicyFrom), m.PolicyToken})
	}
	w.rejects(ApplyMachine{Name: "g", Environment: "production", Policy: "unknown", Instance: number(9)}, NotFound,
		`policy "unknown" does not exist`, "omit the policy")
}

func TestAgentCannotEscapeThePolicyOfItsTokenWithAnotherToken(t *testing.T) {
	w, join := policyWorld(t)
	join("box-01", "strict", "")
	w.do(CreateToken{ID: "a", Settings: TokenSettings{Join: true, AnyEnvironment: true, Policy: "lax"}},
		CreateToken{ID: "b", Settings: TokenSettings{Join: true, AnyEnvironment: true}},
		UseToken{ID: "b", Instance: number(501), Machine: "box-01", Environment: "production"},
		DeleteMachine{Name: "box-01"})
	again := ApplyMachine{Name: "box-01", Environment: "production", Policy: "lax", Instance: number(501)}
	added := w.do(again)
	require.Equal(t, "strict", added[0].(MachineAdded).Policy)

	w.do(RevokeToken{ID: "token-box-01"}, DeleteMachine{Name: "box-01"})
	require.Equal(t, "lax", w.do(again)[0].(MachineAdded).Policy, "a revoked token gives nothing")
}

func TestPersonsPolicyReplacesThatOfTheToken(t *testing.T) {
	w, join := policyWorld(t)
	join("box-01", "strict", "")
	w.do(ApplyMachine{Name: "box-01", Environment: "production", Roles: []string{"db"}, Policy: "strict"})
	require.Equal(t, PolicyByToken, w.Machine("box-01").PolicyFrom, "only the roles have changed")
	w.do(ApplyMachine{Name: "box-01", Environment: "production", Policy: "lax"})
	require.Equal(t, PolicyByPerson, w.Machine("box-01").PolicyFrom)
	require.Empty(t, w.Machine("box-01").PolicyToken)
	w.do(ApplyMachine{Name: "box-02", Environment: "production", Policy: "lax"})
	require.Equal(t, PolicyByPerson, w.Machine("box-02").PolicyFrom)
}

func TestOnlyAJoinTokenGivesAPolicyAndThePolicyMustExist(t *testing.T) {
	w, _ := policyWorld(t)
	w.rejects(CreateToken{ID: "k", Settings: TokenSettings{Join: true, AnyEnvironment: true, Policy: "unknown"}}, NotFound,
		`policy "unknown" does not exist`, "`drover get policies` lists them")
	w.rejects(CreateToken{ID: "k", Settings: TokenSettings{Scope: ReadScope, Policy: "strict"}}, Invalid, "only a join token")
}

func TestMachineJoinsWithThePolicyOfItsTokenEvenIfThatIsGone(t *testing.T) {
	w, _ := policyWorld(t)
	w.do(CreateToken{ID: "token-box-01", Settings: TokenSettings{Join: true, AnyEnvironment: true, Policy: "strict"}})
	w.record("policy/strict", PolicyDeleted{}) // at the same moment on another server
	w.do(UseToken{ID: "token-box-01", Instance: number(9), Machine: "box-01", Environment: "production"})
	added := w.do(ApplyMachine{Name: "box-01", Environment: "production", Policy: "lax", Instance: number(9)})
	require.Equal(t, "strict", added[0].(MachineAdded).Policy)
}
