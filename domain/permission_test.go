package domain

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// connect returns a command of an instance of web-01.
func connect(instance uint64) ConnectMachine {
	return ConnectMachine{Name: "web-01", Server: number(101), Session: number(200 + instance), Instance: number(instance)}
}

func TestAnotherInstanceNeedsAPermissionThatOneOfThemUses(t *testing.T) {
	w := shopWorld(t)
	w.rejects(ReimageMachine{Name: "web-01", Until: time.Unix(100, 0)}, Conflict, "has not been online yet")
	w.rejects(ReimageMachine{Name: "gone", Until: time.Unix(100, 0)}, NotFound, `"gone" does not exist`)
	w.do(connect(1))
	w.rejects(ReimageMachine{Name: "web-01"}, Invalid, "needs an end")
	until := time.Unix(100, 0).UTC()
	require.Equal(t, []Event{MachineReimageAllowed{Until: until}}, w.do(ReimageMachine{Name: "web-01", Until: until}))
	require.Empty(t, w.do(ReimageMachine{Name: "web-01", Until: until}), "the same permission again")
	w.rejects(connect(2), Conflict, "online with another instance")
	w.do(DisconnectMachine{Name: "web-01"})
	require.Len(t, w.do(connect(1)), 1, "its own instance needs none, and does not use it up")
	w.do(DisconnectMachine{Name: "web-01"})

	late := connect(2)
	late.Now = until
	w.rejects(late, Conflict, "belongs to another instance", "`drover machine reimage web-01`",
		"`drover token create --join --machine web-01`")
	require.Len(t, w.do(connect(2)), 1)
	w.do(DisconnectMachine{Name: "web-01"})
	w.rejects(connect(3), Conflict, "belongs to another instance")
	w.rejects(connect(1), Conflict, "belongs to another instance")

	w.joinedAs["web-01"] = number(3)
	w.rejects(connect(1), Conflict, "belongs to another instance")
	require.Len(t, w.do(connect(3)), 1, "it joined with a token that is bound to the machine")
}

func TestAgentDeletesOnlyAnEphemeralMachine(t *testing.T) {
	w := shopWorld(t)
	w.do(connect(1))
	leave := DeleteMachine{Name: "web-01", Session: number(201), Reason: EphemeralReason, Origin: AgentOrigin(number(1))}
	w.rejects(leave, Forbidden, "machine web-01 stays", "did not declare --ephemeral")
	w.do(ApplyMachine{Name: "web-01", Environment: "production", Roles: []string{"web"}, Ephemeral: true})
	require.Equal(t, []Event{MachineDeleted{Reason: EphemeralReason, Origin: AgentOrigin(number(1))}}, w.do(leave))
	w.rejects(leave, NotFound, "does not exist")
}

func TestAgentThatDeletedItsMachineGetsNoOther(t *testing.T) {
	w := shopWorld(t)
	join := ApplyMachine{Name: "web-01", Environment: "staging", Roles: []string{"db"}, Instance: number(1),
		Origin: AgentOrigin(number(1))}
	require.Empty(t, w.do(join), "an agent changes nothing of a machine that exists")
	w.do(ApplyMachine{Name: "web-01", Environment: "production", Roles: []string{"web"}, Ephemeral: true}, connect(1),
		DisconnectMachine{Name: "web-01"})
	w.record("machine/web-01", MachineDeleted{Reason: EphemeralReason, Origin: AgentOrigin(number(1))})
	other := join
	other.Instance = number(2)
	added, r := other.Decide(w)
	require.Nil(t, r)
	require.Equal(t, []Event{MachineAdded{Environment: "staging", Roles: []string{"db"}, Policy: DefaultPolicy, Keeps: true,
		Origin: AgentOrigin(number(1))}}, added, "another instance is a new machine, and what a person set stays")
	returned, r := join.Decide(w)
	require.Nil(t, r)
	require.Equal(t, []Event{MachineCleanUpUndone{Instance: number(1), Reason: EphemeralReason}}, returned)

	require.Len(t, w.do(DeleteMachine{Name: "web-01"}), 1, "a person ends what is retained")
	w.rejects(DeleteMachine{Name: "web-01"}, NotFound, "does not exist")
	added = w.do(join)
	require.Equal(t, "staging", added[0].(MachineAdded).Environment)
	require.False(t, added[0].(MachineAdded).Keeps)
}

func TestFlagsThatDifferFromTheMachineAreRecordedAndIgnored(t *testing.T) {
	w := shopWorld(t)
	w.do(ApplyPolicy{Name: "lax"})
	c := connect(1)
	c.Flags = AgentFlags{Environment: "production", Roles: []string{"web"}}
	require.Zero(t, w.do(c)[0].(MachineCameOnline).Ignored)
	c.Session, c.Flags = number(9), AgentFlags{Environment: "staging", Roles: []string{"web", "db"}, Ephemeral: true, Policy: "lax"}
	require.Equal(t, AgentFlags{Environment: "staging", Roles: []string{"db", "web"}, Ephemeral: true, Policy: "lax"},
		w.do(c)[0].(AgentConnected).Ignored)
	require.Equal(t, "--environment staging --role db --role web --ephemeral --policy lax", w.Machine("web-01").IgnoredFlags().String())
	require.Equal(t, "production", w.Machine("web-01").Environment)

	c.Server, c.Flags = number(102), AgentFlags{}
	require.Equal(t, "staging", w.do(c)[0].(AgentConnected).Ignored.Environment, "another server continues the session")
	w.do(ApplyMachine{Name: "web-01", Environment: "staging", Roles: []string{"db", "web"}, Ephemeral: true, Policy: "lax"})
	require.True(t, w.Machine("web-01").IgnoredFlags().IsZero(), "a person has changed the machine")

	c.Session, c.Flags = number(10), AgentFlags{Environment: "not a name", Roles: []string{"a/b"}}
	require.Zero(t, w.do(c)[0].(AgentConnected).Ignored, "no machine can have such names")
}

func TestDataFolderOfAnotherMachineIsRefused(t *testing.T) {
	w := shopWorld(t)
	w.do(CreateToken{ID: "j", Settings: TokenSettings{Join: true, AnyEnvironment: true}})
	join := UseToken{ID: "j", Instance: number(1), Machine: "web-01", Secret: "s", Environment: "production"}
	require.Len(t, w.do(join), 1)
	other := join
	other.Machine = "web-02"
	w.rejects(other, Forbidden, "belongs to machine web-01 and cannot be used for machine", "web-02", "delete web-01 first")
	w.do(connect(1))
	w.rejects(other, Forbidden, "belongs to machine web-01")
	w.do(DeleteMachine{Name: "web-01"})
	require.Len(t, w.do(other), 1, "a person has deleted the other machine")
}

func TestJoinTokenNamesAnEnvironment(t *testing.T) {
	created := func(w *testWorld, s TokenSettings) []string {
		s.Join = true
		return w.do(CreateToken{ID: "t" + number(w.ids).String(), Settings: s})[0].(TokenCreated).Settings.Environments
	}
	w := newWorld(t)
	require.Empty(t, created(w, TokenSettings{}), "there is no environment yet")
	w.do(ApplyEnvironment{Name: "production"})
	require.Equal(t, []string{"production"}, created(w, TokenSettings{}), "the only one")
	w.do(ApplyEnvironment{Name: "staging"})
	w.rejects(CreateToken{ID: "x", Settings: TokenSettings{Join: true}}, Invalid, "needs an environment", "production, staging",
		"--any-environment")
	require.Equal(t, []string{"staging"}, created(w, TokenSettings{Environments: []string{"staging"}}))
	require.Empty(t, created(w, TokenSettings{AnyEnvironment: true}))
	w.do(ApplyMachine{Name: "web-01", Environment: "staging"})
	require.Equal(t, []string{"staging"}, created(w, TokenSettings{Machine: "web-01"}), "that of its machine")
	for _, bad := range []TokenSettings{
		{Scope: ReadScope, AnyEnvironment: true}, {Join: true, AnyEnvironment: true, Environments: []string{"staging"}},
		{Scope: ReadScope, Machine: "web-01"}, {Join: true, AnyEnvironment: true, Machine: "a/b"},
	} {
		w.rejects(CreateToken{ID: "x", Settings: bad}, Invalid)
	}
}

func TestTokenThatIsBoundToAMachineAdmitsNoOther(t *testing.T) {
	w := shopWorld(t)
	w.do(CreateToken{ID: "b", Settings: TokenSettings{Join: true, Machine: "web-01"}})
	use := UseToken{ID: "b", Instance: number(1), Machine: "web-02", Secret: "s", Environment: "production"}
	w.rejects(use, Forbidden, `does not allow machine "web-02"`, "only web-01")
	use.Machine = "web-01"
	require.Len(t, w.do(use), 1)
}
