package domain

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestApplyMachineWritesOnlyChanges(t *testing.T) {
	w := shopWorld(t)
	apply := ApplyMachine{
		Name:        "web-03",
		Environment: "production",
		Roles:       []string{"web", "api", "web"},
		Origin:      By("ann"),
	}
	require.Equal(
		t,
		[]Event{
			MachineAdded{
				Environment: "production",
				Roles:       []string{"api", "web"},
				Policy:      DefaultPolicy,
				Origin:      By("ann"),
			},
		},
		w.do(apply),
	)
	require.Empty(t, w.do(apply))
	apply.Disabled = true
	require.Equal(t, []Event{MachineDisabled{Origin: By("ann")}}, w.do(apply))
	apply.Disabled, apply.Environment = false, "staging"
	require.Equal(
		t,
		[]Event{
			MachineChanged{
				Environment: "staging",
				Roles:       []string{"api", "web"},
				Policy:      DefaultPolicy,
				Origin:      By("ann"),
			},
			MachineEnabled{Origin: By("ann")},
		},
		w.do(apply),
	)
	require.Equal(t, []Event{MachineDisabled{}}, w.do(SetMachineEnabled{Name: "web-03"}))
	require.Empty(t, w.do(SetMachineEnabled{Name: "web-03"}))
	require.Equal(t, []Event{MachineEnabled{}}, w.do(SetMachineEnabled{Name: "web-03", Enabled: true}))
	require.Equal(t, []Event{MachineAdded{Environment: "production", Policy: DefaultPolicy}, MachineDisabled{}},
		w.do(ApplyMachine{Name: "web-04", Environment: "production", Disabled: true}))
}

func TestMachineCommandsRejectInvalidRequests(t *testing.T) {
	w := shopWorld(t)
	w.rejects(
		ApplyMachine{Name: "web-03", Environment: "qa"},
		NotFound,
		`machine web-03: environment "qa" does not exist`,
	)
	w.rejects(ApplyMachine{Name: "web-03"}, NotFound, "machine web-03 has no environment")
	w.rejects(
		ApplyMachine{Name: "web-03", Environment: "production", Policy: "tame"},
		NotFound,
		`policy "tame" does not exist`,
	)
	w.rejects(
		ApplyMachine{Name: "web-03", Environment: "production", Roles: make([]string, 101)},
		Invalid,
		"too many roles: 101",
	)
	w.rejects(
		ApplyMachine{Name: "web-03", Environment: "production", Roles: []string{"a b"}},
		Invalid,
		`role "a b" has ' ' at character 2`,
	)
	for _, c := range []Command{
		SetMachineEnabled{Name: "nix"}, DeleteMachine{Name: "nix"}, ConnectMachine{Name: "nix"},
		DisconnectMachine{Name: "nix"}, ReportHealth{Name: "nix", Status: Healthy},
	} {
		w.rejects(c, NotFound, `machine "nix" does not exist`)
	}
	w.rejects(DeleteMachine{Name: "web-01", Reason: strings.Repeat("x", 501)}, Invalid, "501 bytes")
}

func TestRecreatedMachineStartsEmpty(t *testing.T) {
	w := shopWorld(t)
	w.do(
		ConnectMachine{Name: "web-01", Server: number(1), Session: number(2), Instance: number(3)},
		ReportHealth{Name: "web-01", Status: Unhealthy},
		SetMachineEnabled{Name: "web-01"},
	)
	require.Equal(
		t,
		[]Event{MachineDeleted{Reason: "sold", Origin: By("ann")}},
		w.do(DeleteMachine{Name: "web-01", Reason: "sold", Origin: By("ann")}),
	)
	require.Nil(t, w.Machine("web-01"))
	w.do(ApplyMachine{Name: "web-01", Environment: "staging"})
	require.Equal(
		t,
		&Machine{Name: "web-01", Environment: "staging", Policy: DefaultPolicy, PolicyFrom: PolicyByDefault, Health: HealthUnknown},
		w.Machine("web-01"),
	)

	t.Run("even if the fold has seen no deletion", func(t *testing.T) {
		m := &Machine{Name: "web-01", Disabled: true, Online: true, Instance: number(3), Health: Unhealthy}
		require.NoError(t, m.Evolve(number(9), MachineAdded{Environment: "staging"}))
		require.Equal(
			t,
			&Machine{Name: "web-01", Environment: "staging", Policy: DefaultPolicy, PolicyFrom: PolicyByDefault, Health: HealthUnknown},
			m,
		)
	})
}

func TestSessionCanMoveToAnotherServerAndEndsOnce(t *testing.T) {
	w := shopWorld(t)
	connect := ConnectMachine{Name: "web-01", Server: number(101), Session: number(102), Instance: number(103)}
	require.Equal(t, []Event{MachineCameOnline{number(101), number(102), number(103), AgentFlags{}, false}}, w.do(connect))
	first := w.Machine("web-01").Connect
	require.Empty(t, w.do(connect), "the same connection twice")

	connect.Server = number(111)
	require.Equal(
		t,
		[]Event{AgentConnected{number(111), number(102), number(103), AgentFlags{}, false}},
		w.do(connect),
		"the session moved to another server",
	)
	connect.Session = number(112)
	require.Equal(
		t,
		[]Event{AgentConnected{number(111), number(112), number(103), AgentFlags{}, false}},
		w.do(connect),
		"the agent was restarted",
	)
	w.rejects(
		ConnectMachine{Name: "web-01", Server: number(111), Session: number(9), Instance: number(8)},
		Conflict,
		"online with another instance",
	)

	require.Empty(t, w.do(DisconnectMachine{Name: "web-01", Connect: first}), "only the newest session can end")
	m := w.Machine("web-01")
	require.Equal(
		t,
		[]Event{MachineWentOffline{m.Connect, number(112), number(103), "silent"}},
		w.do(DisconnectMachine{Name: "web-01", Connect: m.Connect, Reason: "silent"}),
	)
	require.Empty(t, w.do(DisconnectMachine{Name: "web-01"}), "it is already offline")
	require.Equal(
		t,
		[]Event{MachineCameOnline{number(111), number(9), number(8), AgentFlags{}, false}},
		w.do(
			ConnectMachine{Name: "web-01", Server: number(111), Session: number(9), Instance: number(8), Admin: true},
		),
		"an admin may replace the instance of an offline machine",
	)
}

func TestEndOfAnOldSessionKeepsTheMachineOnline(t *testing.T) {
	m := &Machine{Name: "web-01"}
	require.NoError(t, m.Evolve(number(1), MachineAdded{Environment: "production"}))
	require.NoError(t, m.Evolve(number(2), MachineCameOnline{Instance: number(3)}))
	require.NoError(t, m.Evolve(number(4), AgentConnected{Instance: number(3)}))
	require.NoError(t, m.Evolve(number(5), MachineWentOffline{Connect: number(2)}))
	require.True(t, m.Online)
	require.NoError(t, m.Evolve(number(6), MachineWentOffline{Connect: number(4)}))
	require.False(t, m.Online)
}

func TestDeleteMachineWithAnOldSessionDoesNothing(t *testing.T) {
	w := shopWorld(t)
	w.do(ApplyMachine{Name: "web-01", Environment: "production", Roles: []string{"web"}, Ephemeral: true})
	w.do(ConnectMachine{Name: "web-01", Server: number(1), Session: number(2), Instance: number(3)},
		ConnectMachine{Name: "web-01", Server: number(1), Session: number(4), Instance: number(3)})
	require.Empty(t, w.do(DeleteMachine{Name: "web-01", Session: number(2)}), "a later session is open")
	require.Len(t, w.do(DeleteMachine{Name: "web-01", Session: number(4)}), 1)
}

func TestMachineReturnsOnlyAsTheInstanceThatACleanUpDeleted(t *testing.T) {
	w := shopWorld(t)
	w.do(ConnectMachine{Name: "web-01", Server: number(1), Session: number(2), Instance: number(3)})
	require.Empty(t, w.do(ReturnMachine{Name: "web-01", Instance: number(3)}), "it exists")
	missing := `no clean-up has deleted machine "web-01" of this instance`
	w.do(DeleteMachine{Name: "web-01", Reason: CleanUpReason})
	w.rejects(ReturnMachine{Name: "web-01", Instance: number(4)}, NotFound, missing)
	require.Equal(t, []Event{MachineCleanUpUndone{Instance: number(3)}},
		w.do(ReturnMachine{Name: "web-01", Instance: number(3)}))

	w.do(DeleteMachine{Name: "web-02", Reason: "broken"})
	w.rejects(ReturnMachine{Name: "web-02"}, NotFound, `no clean-up has deleted machine "web-02"`)
}

func TestNewInstanceHasUnknownHealth(t *testing.T) {
	w := shopWorld(t)
	connect := func(session, instance uint64) {
		w.do(
			DisconnectMachine{Name: "web-01"},
			ConnectMachine{Name: "web-01", Server: number(101), Session: number(session), Instance: number(instance),
				Admin: true},
		)
	}
	w.rejects(ReportHealth{Name: "web-01", Status: Healthy}, Conflict, "report online first")
	connect(2, 3)
	require.Equal(
		t,
		[]Event{MachineHealthChanged{Status: Warning, Detail: "full", Session: number(2)}},
		w.do(ReportHealth{Name: "web-01", Status: Warning, Detail: "full"}),
	)
	require.Empty(t, w.do(ReportHealth{Name: "web-01", Session: number(2), Status: Warning, Detail: "fuller"}))
	connect(4, 3)
	require.Equal(t, Warning, w.Machine("web-01").Health, "the same instance keeps its health")
	w.rejects(ReportHealth{Name: "web-01", Session: number(2), Status: Healthy}, Conflict, "not the newest")
	for _, bad := range []Health{"", HealthUnknown, "fine"} {
		w.rejects(ReportHealth{Name: "web-01", Status: bad}, Invalid, "use healthy, warning or unhealthy")
	}
	connect(5, 6)
	require.Equal(t, HealthUnknown, w.Machine("web-01").Health, "the new instance has not reported yet")
}

func TestLongDetailsAreTruncated(t *testing.T) {
	w := shopWorld(t)
	w.do(ConnectMachine{Name: "web-01", Server: number(1), Session: number(2), Instance: number(3)})
	report := ReportHealth{Name: "web-01", Status: Unhealthy, Detail: strings.Repeat("é", 1<<20)}
	changed := w.do(report)[0].(MachineHealthChanged)
	require.LessOrEqual(t, len(changed.Detail), 500)
	require.True(t, strings.HasPrefix(changed.Detail, "éé"))
	require.NotContains(t, changed.Detail, "\ufffd")

	w.parts[PartStream(number(7), "web-01")] = &Part{
		Project:  "shop",
		State:    PartRunning,
		Claimed:  true,
		Instance: number(3),
		Session:  number(2),
	}
	ended := w.do(EndPart{Deployment: number(7), Machine: "web-01", Instance: number(3), State: PartFailed,
		Reason: PartReason(strings.Repeat("r", 1<<20)),
		Step:   strings.Repeat("s", 1<<20), Detail: "a\xff" + strings.Repeat("b", 1<<20)})[0].(PartEnded)
	_, data, err := Encode(ended)
	require.NoError(t, err)
	require.Less(t, len(data), 2000)
}

func TestMachineIsDeployableIfEnabledOnlineAndItsHealthIsKnown(t *testing.T) {
	for _, c := range []struct {
		m       Machine
		checked bool
		want    PartReason
	}{
		{Machine{Online: true, Health: HealthUnknown}, false, ""},
		{Machine{Online: true, Health: HealthUnknown}, true, HealthNotKnown},
		{Machine{Online: true, Health: Unhealthy}, true, ""}, // a deployment may repair it
		{Machine{Online: true, Disabled: true, Health: Healthy}, true, MachineIsDisabled},
		{Machine{Health: Healthy}, true, MachineIsOffline},
	} {
		ok, reason := c.m.Deployable(c.checked)
		require.Equal(t, c.want, reason)
		require.Equal(t, c.want == "", ok)
	}
}

func TestMachineEvolveRejectsInvalidEvents(t *testing.T) {
	m := &Machine{Name: "web-01"}
	require.ErrorContains(t, m.Evolve(number(1), MachineAdded{}), "no environment")
	require.ErrorContains(t, m.Evolve(number(1), MachineChanged{}), "no environment")
	require.ErrorContains(t, m.Evolve(number(1), MachineHealthChanged{Status: "fine"}), `"fine"`)
}

func TestComingOnlineEndsAHeldCleanUp(t *testing.T) {
	m := &Machine{Name: "web-01"}
	require.NoError(t, m.Evolve(number(1), MachineCleanUpHeld{Absent: 2, Machines: 3}))
	require.True(t, m.CleanUpHeld)
	require.NoError(t, m.Evolve(number(2), MachineCameOnline{}))
	require.False(t, m.CleanUpHeld)
}

func TestMachineEventsHaveTheExpectedCategoryAndSign(t *testing.T) {
	for _, c := range []struct {
		event Event
		want  Category
		sign  int
		opens bool
	}{
		{MachineAdded{}, Added, +1, true},
		{MachineEnabled{}, Enabled, +1, true},
		{MachineCameOnline{}, CameOnline, +1, true},
		{MachineHealthChanged{Status: Healthy}, BecameHealthy, +1, true},
		{MachineHealthChanged{Status: Warning}, BecameWarning, +1, true},
		{MachineChanged{}, Changed, 0, true},
		{MachineDeleted{}, Deleted, -1, false},
		{MachineDisabled{}, Disabled, -1, false},
		{MachineWentOffline{}, WentOffline, -1, false},
		{MachineHealthChanged{Status: Unhealthy}, BecameUnhealthy, -1, false},
	} {
		got, ok := CategoryOf(c.event)
		require.True(t, ok)
		require.Equal(t, c.want, got)
		require.Equal(t, c.sign, got.Sign())
		require.Equal(t, c.opens, got.Opens())
	}
	for _, e := range []Event{
		AgentConnected{}, MachineCleanUpHeld{}, MachineHealthChanged{Status: "fine"}, ProjectEnabled{}, PartEnded{},
	} {
		_, ok := CategoryOf(e)
		require.False(t, ok, "%T has no category", e)
	}
}

func TestExpandReplacesGroupsWithTheirMembers(t *testing.T) {
	all, unknown := Expand([]Category{AllGroup})
	require.Empty(t, unknown)
	require.Len(t, all, 10)
	both, _ := Expand([]Category{AvailableGroup, UnavailableGroup, Added})
	require.Equal(t, all, both, "the two groups contain every category, and none twice")
	health, _ := Expand([]Category{HealthGroup})
	require.ElementsMatch(t, []Category{BecameHealthy, BecameWarning, BecameUnhealthy}, health)
	_, unknown = Expand([]Category{Added, "MachineSang", "x"})
	require.Equal(t, Category("MachineSang"), unknown)
	require.Len(t, Categories(), 14)
}

func TestMachineIsInScopeByEnvironmentAndRoles(t *testing.T) {
	m := &Machine{Environment: "production", Roles: []string{"api", "web"}}
	for _, c := range []struct {
		environment      string
		project, trigger []string
		want             bool
	}{
		{"production", nil, nil, true},
		{"staging", nil, nil, false},
		{"production", []string{"web"}, nil, true},
		{"production", []string{"db", "web"}, nil, true},
		{"production", []string{"db"}, nil, false},
		{"production", nil, []string{"db"}, false},
		{"production", []string{"web"}, []string{"api"}, true}, // one of the trigger's roles is required as well
		{"production", []string{"db"}, []string{"web"}, false},
	} {
		require.Equal(t, c.want, InScope(m, c.environment, c.project, c.trigger), "%v", c)
	}
	require.False(t, InScope(nil, "production", nil, nil))
}
