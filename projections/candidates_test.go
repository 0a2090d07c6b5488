package projections_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/droverhq/drover/domain"
	"github.com/droverhq/drover/eventlog"
	"github.com/droverhq/drover/projections"
	"github.com/droverhq/drover/projections/projectionstest"
)

// candidatesOf returns the open candidates of project shop on web-01.
func candidatesOf(h *projectionstest.History) []*projections.Candidate {
	return h.Candidates(h.Projects["shop"], h.Machines["web-01"])
}

// trigger defines a trigger of project shop in all environments.
func trigger(h *projectionstest.History, name string, settings domain.TriggerSettings) {
	settings.Environments = []string{"*"}
	h.Add("project/shop", domain.TriggerDefined{Trigger: name, Settings: settings})
}

func withRoles(roles ...string) domain.MachineChanged {
	return domain.MachineChanged{Environment: "production", Roles: roles}
}

func TestCandidateRetainsItsFirstAndNewestCauses(t *testing.T) {
	h := projectionstest.OneMachine(t)
	first := candidatesOf(h)[0].Causes[0]
	var added []domain.ID
	for range projections.MaxCauses {
		added = append(added, h.Add("machine/web-01", domain.MachineEnabled{}))
	}
	for range projections.MaxCauses {
		added = append(added, h.Add("machine/web-01", domain.MachineEnabled{}))
		causes := candidatesOf(h)[0].Causes
		require.Len(t, causes, projections.MaxCauses)
		require.Equal(t, first, causes[0])
		for i, cause := range causes[1:] {
			require.Equal(t, added[len(added)-projections.MaxCauses+1+i], cause.ID)
		}
	}
}

func TestMachineWithSeveralRolesOfATriggerHasOneCausePerEvent(t *testing.T) {
	h := projectionstest.OneMachine(t)
	trigger(h, "roles", domain.TriggerSettings{Events: []domain.Category{domain.Changed}, Roles: []string{"web", "mail"}})
	changed := h.Add("machine/web-01", withRoles("mail", "web"))
	c := candidatesOf(h)
	require.Len(t, c, 2)
	require.Equal(t, "roles", c[1].Trigger)
	require.Equal(t, []projections.Cause{{ID: changed, Category: domain.Changed, Position: h.Position}}, c[1].Causes)
}

func TestTriggerDoesNotSelectMachinesOutsideTheRolesOfItsProject(t *testing.T) {
	h := projectionstest.New(t)
	h.Shop(domain.ProjectSettings{Roles: []string{"web"}, Steps: []domain.Step{{Name: "a", Run: "b"}}})
	h.Want("1.0")
	trigger(h, "canaries", domain.TriggerSettings{Events: []domain.Category{domain.Changed}, Roles: []string{"canary"}})
	h.Join("web-01")
	h.Add("machine/web-01", withRoles("canary"))
	require.Empty(t, candidatesOf(h))
	require.Empty(t, h.Projects["shop"].Sweep(), "it is behind, but not in scope")
	h.Add("machine/web-01", withRoles("web"))
	require.Equal(t, []string{"web-01"}, h.Projects["shop"].Sweep())
	h.Add("machine/web-01", withRoles("canary"))
	require.Empty(t, h.Projects["shop"].Sweep())
	h.Add("machine/web-01", withRoles("canary", "web"))
	require.Len(t, candidatesOf(h), 1)
}

func TestCandidatesBelongToOneProject(t *testing.T) {
	h := projectionstest.OneMachine(t)
	for _, project := range []string{"aaa", "zzz"} {
		h.Project(project, domain.ProjectSettings{Steps: []domain.Step{{Name: "a", Run: "b"}}},
			domain.TriggerDefined{Trigger: "changes", Settings: domain.TriggerSettings{
				Events: []domain.Category{domain.Changed}, Environments: []string{"*"}}})
	}
	h.Add("machine/web-01", withRoles("web"))
	for project, want := range map[string]string{"aaa": "changes", "shop": "joins", "zzz": "changes"} {
		c := h.Candidates(h.Projects[project], h.Machines["web-01"])
		require.Len(t, c, 1, project)
		require.Equal(t, want, c[0].Trigger)
		require.Equal(t, "web-01", c[0].Machine)
	}
}

// A trigger with redeploy deploys again after external events only (law 6).
func TestOnlyExternalEventsRequestARedeployment(t *testing.T) {
	for name, c := range map[string]struct {
		facts    []domain.Event
		redeploy bool
	}{
		"roles changed":     {[]domain.Event{withRoles("web")}, true},
		"enabled":           {[]domain.Event{domain.MachineDisabled{}, domain.MachineEnabled{}}, true},
		"another disk":      {[]domain.Event{domain.MachineCameOnline{Instance: domain.ID{9: 9}}}, true},
		"the same disk":     {[]domain.Event{domain.MachineCameOnline{Instance: projectionstest.Instance}}, false},
		"health":            {[]domain.Event{domain.MachineHealthChanged{Status: domain.Healthy}}, false},
		"back from absence": {nil, true},
	} {
		t.Run(name, func(t *testing.T) {
			h := projectionstest.OneMachine(t)
			trigger(h, "again", domain.TriggerSettings{Events: []domain.Category{domain.AvailableGroup}, Redeploy: true})
			if c.facts == nil {
				h.Disconnect("web-01")
				h.Connect("web-01", projectionstest.Server, projectionstest.Instance)
			}
			h.Add("machine/web-01", c.facts...)
			candidates := candidatesOf(h)
			require.Equal(t, "again", candidates[0].Trigger)
			want := eventlog.Position(0)
			if c.redeploy {
				want = h.Position
			}
			require.Equal(t, want, candidates[0].Redeploy)
			require.Zero(t, candidates[1].Redeploy, "joins has no redeploy")
		})
	}
}

func TestSweepLeavesOutMachinesForWhichATriggerAsks(t *testing.T) {
	h := projectionstest.OneMachine(t)
	shop := h.Projects["shop"]
	require.Len(t, candidatesOf(h), 1)
	require.Empty(t, shop.Sweep())
	h.Add("project/shop", domain.TriggerDisabled{Trigger: "joins"})
	require.Equal(t, []string{"web-01"}, shop.Sweep())
	h.Add("project/shop", domain.TriggerEnabled{Trigger: "joins"})
	require.Empty(t, shop.Sweep())
	h.Add("project/shop", domain.TriggerDeleted{Trigger: "joins"})
	require.Empty(t, candidatesOf(h))
	require.Equal(t, []string{"web-01"}, shop.Sweep())
}

func TestDeletedEnvironmentClosesCandidates(t *testing.T) {
	h := projectionstest.OneMachine(t)
	require.Len(t, candidatesOf(h), 1)
	h.Add("environment/production", domain.EnvironmentDeleted{})
	require.Empty(t, candidatesOf(h))
}

// A part was open during the absence: the restart of the machine may be an effect of it (law 6).
func TestReturnFromAnAbsenceWithAPartRequestsNoRedeployment(t *testing.T) {
	for name, queued := range map[string]func(h *projectionstest.History){
		"queued before": func(h *projectionstest.History) {
			automatic(h, "joins")
			h.Disconnect("web-01")
		},
		"queued while offline": func(h *projectionstest.History) {
			h.Disconnect("web-01")
			automatic(h, "joins")
		},
	} {
		t.Run(name, func(t *testing.T) {
			h := projectionstest.OneMachine(t)
			trigger(h, "again", domain.TriggerSettings{Events: []domain.Category{domain.CameOnline}, Redeploy: true})
			queued(h)
			h.Connect("web-01", projectionstest.Server, projectionstest.Instance)
			candidates := candidatesOf(h)
			require.Equal(t, "again", candidates[0].Trigger)
			require.Zero(t, candidates[0].Redeploy)
		})
	}
}

func TestOnlyHealthAfterTheAttemptBlamesTheRelease(t *testing.T) {
	for name, c := range map[string]struct {
		before, after domain.Health
		want          bool
	}{
		"unhealthy before":           {domain.Unhealthy, "", false},
		"unhealthy after":            {domain.Healthy, domain.Unhealthy, true},
		"healthy":                    {domain.Healthy, "", false},
		"only a warning":             {domain.Healthy, domain.Warning, false},
		"unhealthy and healed since": {domain.Unhealthy, domain.Healthy, false},
	} {
		t.Run(name, func(t *testing.T) {
			h := projectionstest.OneMachine(t)
			h.Add("machine/web-01", domain.MachineHealthChanged{Status: c.before})
			h.Attempt("web-01", "1.0", domain.PartFailed, "")
			if c.after != "" {
				h.Add("machine/web-01", domain.MachineHealthChanged{Status: c.after})
			}
			require.Equal(t, c.want, h.MadeUnhealthy(h.Projects["shop"], h.Machines["web-01"]))
		})
	}
}
