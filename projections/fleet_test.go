package projections_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/droverhq/drover/domain"
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
	h.Join("web-01")
	m := h.Machines["web-01"]
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
