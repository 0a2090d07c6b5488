package projections_test

import (
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/droverhq/drover/domain"
	"github.com/droverhq/drover/eventlog"
	"github.com/droverhq/drover/projections"
	"github.com/droverhq/drover/projections/projectionstest"
)

// now returns the time of the newest fact.
func now(h *projectionstest.History) time.Time { return h.Log[len(h.Log)-1].Time }

func policy(h *projectionstest.History, name string, settings domain.PolicySettings) {
	h.Add("policy/"+name, domain.PolicyDefined{Settings: settings})
}

// checked are the settings of a policy with a health check.
var checked = domain.PolicySettings{HealthCheck: &domain.HealthCheck{Script: "true"}}

func TestPresenceIsUnknownOnlyBeforeTheFirstSession(t *testing.T) {
	h := shopOn(t)
	h.Add("machine/web-01", domain.MachineAdded{Environment: "production"})
	m := h.Machines["web-01"]
	require.Equal(t, "unknown", m.Presence())
	h.Connect("web-01", projectionstest.Server, projectionstest.Instance)
	require.Equal(t, "online", m.Presence())
	h.Disconnect("web-01")
	require.Equal(t, "offline", m.Presence())
	require.Equal(t, now(h), m.OfflineTime)
}

func TestStrictestOfflineAfterIsTheShortestOfAllPolicies(t *testing.T) {
	h := shopOn(t)
	byDefault := time.Duration(domain.PolicySettings{}.WithDefaults().OfflineAfter)
	require.Equal(t, byDefault, h.StrictestOfflineAfter())
	policy(h, "patient", domain.PolicySettings{OfflineAfter: domain.Duration(2 * byDefault)})
	require.Equal(t, byDefault, h.StrictestOfflineAfter(), "the default policy still exists")
	policy(h, "strict", domain.PolicySettings{OfflineAfter: domain.Duration(byDefault / 2)})
	require.Equal(t, byDefault/2, h.StrictestOfflineAfter())
	h.Add("policy/strict", domain.PolicyDeleted{})
	policy(h, domain.DefaultPolicy, domain.PolicySettings{OfflineAfter: domain.Duration(3 * byDefault)})
	require.Equal(t, 2*byDefault, h.StrictestOfflineAfter())
}

func TestMachineWhosePolicyIsNotDefinedHasTheDefaultPolicy(t *testing.T) {
	h := shopOn(t, "web-01")
	m := h.Machines["web-01"]
	h.Add("machine/web-01", domain.MachineChanged{Environment: "production", Policy: "none"})
	require.Equal(t, domain.PolicySettings{}.WithDefaults(), h.PolicyOf(m))
	policy(h, domain.DefaultPolicy, checked)
	require.Equal(t, checked.WithDefaults(), h.PolicyOf(m))
	policy(h, "none", domain.PolicySettings{})
	require.Equal(t, domain.PolicySettings{}.WithDefaults(), h.PolicyOf(m))
}

func TestMachineIsPlacedWhenItsEnvironmentRolesOrInstanceChange(t *testing.T) {
	h := shopOn(t)
	h.Add("environment/staging", domain.EnvironmentDefined{})
	h.Add("machine/web-01", domain.MachineAdded{Environment: "production"})
	m := h.Machines["web-01"]
	require.Equal(t, now(h), m.PlacedTime)
	h.Connect("web-01", projectionstest.Server, projectionstest.Instance)
	placed := now(h) // its first instance
	require.Equal(t, placed, m.PlacedTime)
	require.Equal(t, placed.Add(-time.Second), m.AddedTime)
	for _, same := range []domain.Event{domain.MachineDisabled{}, domain.MachineEnabled{},
		domain.MachineHealthChanged{Status: domain.Healthy}, domain.MachineChanged{Environment: "production", Policy: "p"}} {
		h.Add("machine/web-01", same)
		require.Equal(t, placed, m.PlacedTime, "%T", same)
	}
	h.Connect("web-01", projectionstest.Server, m.Instance)
	require.Equal(t, placed, m.PlacedTime, "the same instance")
	for _, other := range []domain.Event{domain.MachineChanged{Environment: "staging"},
		domain.MachineChanged{Environment: "staging", Roles: []string{"web"}},
		domain.MachineCameOnline{Instance: domain.ID{9: 9}}} {
		h.Add("machine/web-01", other)
		require.Equal(t, now(h), m.PlacedTime, "%T", other)
	}
}

// A rollout counts the time that a machine has for its claim from there.
func TestMachineIsReadySinceItBecameDeployable(t *testing.T) {
	h := shopOn(t, "web-01")
	m := h.Machines["web-01"]
	require.Equal(t, h.Position, m.Ready, "it came online")
	ready := m.Ready
	h.Add("machine/web-01", domain.MachineHealthChanged{Status: domain.Healthy}, withRoles("web"))
	require.Equal(t, ready, m.Ready, "it was deployable before")
	h.Add("machine/web-01", domain.MachineDisabled{})
	require.Equal(t, ready, m.Ready)
	h.Add("machine/web-01", domain.MachineEnabled{})
	require.Equal(t, h.Position, m.Ready)
	policy(h, domain.DefaultPolicy, checked)
	h.Disconnect("web-01")
	h.Connect("web-01", projectionstest.Server, domain.ID{9: 9})
	ready = m.Ready
	require.Less(t, ready, h.Position, "the health of another instance is unknown")
	h.Add("machine/web-01", domain.MachineHealthChanged{Status: domain.Healthy, Session: m.Session})
	require.Equal(t, h.Position, m.Ready)
}

func TestStreamThatAddsAMachineInvalidlyIsSetAside(t *testing.T) {
	for what, added := range map[string]domain.MachineAdded{"it exists": {Environment: "production"}, "no environment": {}} {
		h := shopOn(t, "web-01")
		stream := "machine/web-01"
		if added.Environment == "" {
			stream = "machine/web-02"
		}
		require.Nil(t, h.Apply(recorded(t, stream, h.Position+1, added)), what)
		require.True(t, h.SetAside(stream), what)
	}
}

func TestEventsOfAMachineThatLostItsHealthCheckStillCauseDeployments(t *testing.T) {
	h := projectionstest.OneMachine(t)
	trigger(h, "enabled", domain.TriggerSettings{Events: []domain.Category{domain.Enabled}})
	policy(h, domain.DefaultPolicy, checked)
	policy(h, domain.DefaultPolicy, domain.PolicySettings{})
	require.True(t, h.Machines["web-01"].LostCheck)
	h.Add("machine/web-01", domain.MachineDisabled{}, domain.MachineEnabled{})
	require.Equal(t, "enabled", candidatesOf(h)[0].Trigger)
}

func TestFactsOfADeletedMachineHaveNoEffect(t *testing.T) {
	h := shopOn(t, "web-01")
	h.Add("machine/web-01", domain.MachineDeleted{Origin: domain.By("ann")}, domain.MachineEnabled{}, withRoles("web"))
	require.Empty(t, h.Machines)
	require.Empty(t, h.Inconsistencies())
}

func TestOnlyEventsOfContactAndHealthMoveTheirPositions(t *testing.T) {
	h := shopOn(t, "web-01")
	m := h.Machines["web-01"]
	connected, unrelated := m.Connected, []domain.Event{withRoles("web"), domain.MachineDisabled{}}
	require.Equal(t, h.Position, connected)
	h.Add("machine/web-01", domain.MachineHealthChanged{Status: domain.Healthy})
	health := h.Position
	h.Add("machine/web-01", unrelated...)
	require.Zero(t, m.Offline, "it was never offline")
	h.Disconnect("web-01")
	offline := h.Position
	h.Add("machine/web-01", unrelated...)
	require.Equal(t, connected, m.Connected)
	require.Equal(t, health, m.HealthSince)
	require.Equal(t, offline, m.Offline)
}

func TestReturnEndsTheStateOfAnAbsence(t *testing.T) {
	h := shopOn(t, "web-01")
	m := h.Machines["web-01"]
	server := h.Add("server/"+projectionstest.Server.String(), domain.ServerStarted{DecisionVersion: 1})
	watched := func(since domain.ID) {
		h.Add("watch", domain.WatchPassed{Since: since, Span: domain.Duration(20 * time.Second)})
	}
	watched(server)
	h.Add("machine/web-01", domain.MachineWentOffline{Connect: m.Connect, Reason: domain.ServerGone})
	watched(h.Watch.Last)
	require.True(t, m.ServerGone)
	require.True(t, m.Unknown)
	require.Zero(t, m.Unheard, "it was online at the beginning of the span")
	watched(h.Watch.Last)
	require.Equal(t, 20*time.Second, m.Unheard)
	h.Connect("web-01", projectionstest.Server, m.Instance)
	require.False(t, m.ServerGone)
	require.False(t, m.Unknown)
	require.Zero(t, m.Unheard)
	h.Disconnect("web-01")
	watched(h.Watch.Last)
	watched(h.Watch.Last)
	require.Equal(t, 20*time.Second, m.Absence)
	h.Connect("web-01", projectionstest.Server, m.Instance)
	require.Zero(t, m.Absence)
}

// An agent and a sweep learn of it without waiting for another event.
func TestMachinesWhoseWorkMayHaveChangedAreTouched(t *testing.T) {
	h := shopOn(t)
	policy(h, "strict", checked)
	join := func(name, policy string) {
		h.Add("machine/"+name, domain.MachineAdded{Environment: "production", Policy: policy})
	}
	join("web-01", "")
	join("web-02", "strict")
	token := "token/" + domain.ID{4: 4}.String()
	h.Add(token, domain.TokenCreated{Settings: domain.TokenSettings{Join: true}})
	for _, c := range []struct {
		what    string
		happens func()
		touched []string
	}{
		{"a machine is added", func() { join("web-03", "") }, []string{"web-03"}},
		{"its own event", func() { h.Add("machine/web-01", domain.MachineDisabled{}) }, []string{"web-01"}},
		{"its policy changes", func() { policy(h, "strict", checked) }, []string{"web-02"}},
		{"the policy of no machine", func() { policy(h, "none", checked) }, nil},
		{"the default policy", func() { policy(h, domain.DefaultPolicy, checked) }, []string{"web-01", "web-02", "web-03"}},
		{"a token is used", func() { h.Add(token, domain.TokenUsed{Machine: "web-02"}) }, nil},
		{"a token is revoked", func() { h.Add(token, domain.TokenRevoked{}) }, []string{"web-02"}},
		{"the log was restored", func() { h.Add("watch", domain.LogRestored{Was: domain.ID{5: 5}}) },
			[]string{"web-01", "web-02", "web-03"}},
		{"a machine is deleted", func() { h.Add("machine/web-03", domain.MachineDeleted{}) }, []string{"web-03"}},
	} {
		h.Touched()
		c.happens()
		var names []string
		for _, r := range h.Touched() {
			names = append(names, r.Name)
		}
		require.ElementsMatch(t, c.touched, names, c.what)
	}
}

func TestSweepFindsANewMachineAtOnceAndForgetsADeletedOne(t *testing.T) {
	h := shopOn(t)
	h.Want("1.0")
	shop := h.Projects["shop"]
	h.Add("machine/web-01", domain.MachineAdded{Environment: "production"})
	require.Equal(t, []string{"web-01"}, shop.Sweep())
	require.Equal(t, []*projections.Project{shop}, h.ProjectsToEvaluate())
	h.Add("machine/web-01", domain.MachineDeleted{})
	require.Empty(t, shop.Sweep())
	require.Empty(t, h.ProjectsToEvaluate())
	require.Empty(t, h.Inconsistencies())
}

func TestDeletedEnvironmentConcernsNoOtherEnvironment(t *testing.T) {
	h := shopOn(t, "web-01")
	h.Add("environment/staging", domain.EnvironmentDefined{})
	h.Want("1.0")
	d := wide(h, "production", 0)
	until := projectionstest.Start.Add(time.Hour)
	for _, environment := range []string{"production", "staging"} {
		h.Add("project/shop", domain.PinSet{Environment: environment, Release: "1.0", Until: &until, Origin: domain.By("ann")})
	}
	shop, since := h.Projects["shop"], h.Projects["shop"].WantedSince["production"]
	h.Add("environment/staging", domain.EnvironmentDeleted{})
	require.False(t, d.Cancelled)
	require.Equal(t, map[string]eventlog.Position{"production": since}, shop.WantedSince)
	require.Equal(t, []projections.Deadline{{Project: "shop", Environment: "production", Until: until}},
		slices.Collect(h.Deadlines()))
	require.Empty(t, h.Inconsistencies())
	h.Add("environment/production", domain.EnvironmentDeleted{})
	require.True(t, d.Cancelled)
	require.Empty(t, shop.WantedSince)
	require.Empty(t, slices.Collect(h.Deadlines()))
	require.Empty(t, h.Inconsistencies())
}

func TestInvalidPolicySetsItsStreamAside(t *testing.T) {
	h := shopOn(t)
	invalid := domain.PolicyDefined{Settings: domain.PolicySettings{OfflineAfter: -1}}
	require.Nil(t, h.Apply(recorded(t, "policy/web", h.Position+1, invalid)))
	require.True(t, h.SetAside("policy/web"))
	require.Empty(t, h.Policies)
}

func TestPoliciesThatChangeDuringACleanUpConcernAHealthCheckOnly(t *testing.T) {
	for name, c := range map[string]struct {
		had     bool // a health check before
		defined []domain.PolicySettings
		health  domain.Health
	}{
		"never a check":               {false, []domain.PolicySettings{{}, {}}, domain.Warning},
		"a check that stays":          {true, []domain.PolicySettings{checked, checked}, domain.Warning},
		"a check that is removed":     {true, []domain.PolicySettings{checked, {}}, domain.HealthUnknown},
		"a check that came and went":  {false, []domain.PolicySettings{checked, {}}, domain.HealthUnknown},
		"a check that went and stays": {true, []domain.PolicySettings{{}, {}}, domain.HealthUnknown},
	} {
		t.Run(name, func(t *testing.T) {
			b := newFleet(t, 2)
			if c.had {
				policy(b.History, domain.DefaultPolicy, checked)
			}
			b.Add("machine/web-01", domain.MachineHealthChanged{Status: domain.Warning})
			instance := b.cleanUp("web-01")
			for _, settings := range c.defined {
				policy(b.History, domain.DefaultPolicy, settings)
			}
			b.undo("web-01", instance)
			require.Equal(t, c.health, b.Machines["web-01"].Health)
			require.Equal(t, c.health == domain.HealthUnknown, b.Machines["web-01"].LostCheck)
		})
	}
}

func TestTokensOfAnInstanceAreListedOnce(t *testing.T) {
	h := shopOn(t)
	instance := domain.ID{6: 6}
	for _, id := range []string{"b", "a"} {
		h.Add("token/"+id, domain.TokenCreated{Settings: domain.TokenSettings{Join: true}},
			domain.TokenUsed{Instance: instance, Machine: "web-01"}, domain.TokenUsed{Instance: instance, Machine: "web-02"})
	}
	var ids []string
	for _, token := range h.TokensOf(instance) {
		ids = append(ids, token.ID)
	}
	require.Equal(t, []string{"b", "a"}, ids)
	require.Empty(t, h.TokensOf(domain.ID{7: 7}))
}

func TestNewestDecisionVersionOfAnyServerCounts(t *testing.T) {
	h := projectionstest.New(t)
	h.Add("server/web-01", domain.ServerStarted{DecisionVersion: 9})
	stream := "server/" + projectionstest.Server.String()
	h.Add(stream, domain.MachineEnabled{})
	require.Empty(t, h.Servers, "not a server")
	require.Equal(t, projections.Fence{}, h.Fence)
	start := func(version int) { h.Add(stream, domain.ServerStarted{DecisionVersion: version}) }
	start(2)
	require.Equal(t, &projections.Server{ID: projectionstest.Server, Event: projectionstest.ID(h.Position),
		Started: h.Position, Time: now(h), Facts: domain.ServerStarted{DecisionVersion: 2}},
		h.Servers[projectionstest.Server])
	start(1)
	require.Equal(t, projections.Fence{Decision: 2}, h.Fence)
	start(3)
	raised := projections.Fence{Decision: 3, Raised: h.Position}
	require.Equal(t, raised, h.Fence)
	start(3)
	start(2)
	require.Equal(t, raised, h.Fence)
}

func TestServerGoneCausesNothingForAMachineThatIsBehind(t *testing.T) {
	h := projectionstest.OneMachine(t)
	h.Attempt("web-01", "1.0", domain.PartFailed, "")
	before := slices.Clone(candidatesOf(h)[0].Causes)
	m := h.Machines["web-01"]
	h.Add("machine/web-01", domain.MachineWentOffline{Connect: m.Connect, Reason: domain.ServerGone},
		domain.MachineCameOnline{Session: m.Session, Instance: m.Instance})
	require.Equal(t, before, candidatesOf(h)[0].Causes)
}

func TestSpanOfAnUnknownBeginningDoesNotCount(t *testing.T) {
	h := shopOn(t, "web-01")
	h.Disconnect("web-01")
	h.Add("watch", domain.WatchPassed{Since: domain.ID{7: 7}, Span: domain.Duration(time.Hour)})
	require.Zero(t, h.Machines["web-01"].Absence)
	require.Zero(t, h.Watch.Last)
}

func TestSearchForMachinesAndDeadlinesCanEndEarly(t *testing.T) {
	h := shopOn(t, "web-01", "web-02", "web-03")
	until := projectionstest.Start.Add(time.Hour)
	for n, name := range []string{"web-01", "web-02", "web-03"} {
		h.Add("machine/"+name, domain.MachineChanged{Environment: "production", Policy: "p" + string(rune('0'+n))})
		h.Disconnect(name)
		h.Add("project/shop", domain.HoldSet{Machine: name, Until: &until})
	}
	policies, deadlines := 0, 0
	for range h.OfflineByPolicy() {
		if policies++; policies == 2 {
			break
		}
	}
	for range h.Deadlines() {
		if deadlines++; deadlines == 2 {
			break
		}
	}
	require.Equal(t, 2, policies)
	require.Equal(t, 2, deadlines)
}
