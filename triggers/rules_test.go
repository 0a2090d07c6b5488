package triggers_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/droverhq/drover/domain"
	"github.com/droverhq/drover/projections/projectionstest"
	"github.com/droverhq/drover/triggers"
)

// judge returns the verdict on web-01 for project shop.
func judge(h *projectionstest.History) triggers.Verdict {
	return triggers.Judge(h.View, h.Projects["shop"], h.Machines["web-01"], h.Age)
}

// wanting returns a fleet with web-01, which is due for release 1.0.
func wanting(t *testing.T) *projectionstest.History {
	h := newFleet(t)
	h.Join("web-01")
	return h
}

// again adds a trigger with redeploy to project shop.
func again(h *projectionstest.History, events ...domain.Category) {
	h.Add("project/shop", domain.TriggerDefined{Trigger: "again", Settings: domain.TriggerSettings{Events: events,
		Environments: []string{"*"}, Redeploy: true}})
}

// Each case satisfies two rows of the table. The order of the table decides which reason people see.
func TestEarlierRowOfTheTableGivesTheReason(t *testing.T) {
	shop := func(roles ...string) domain.ProjectDefined {
		return domain.ProjectDefined{Settings: domain.ProjectSettings{Steps: []domain.Step{{Name: "a", Run: "b"}}, Roles: roles}}
	}
	for want, prepare := range map[triggers.Reason]func(*projectionstest.History){
		triggers.SetAside: func(h *projectionstest.History) { // and out of scope
			h.Add("project/shop", shop("database"))
			h.SetAsideStream("machine/web-01")
		},
		triggers.OutOfScope: func(h *projectionstest.History) { // and disabled
			h.Add("project/shop", shop("database"), domain.ProjectDisabled{})
		},
		triggers.ProjectDisabled: func(h *projectionstest.History) { // and its trigger, too
			h.Add("project/shop", domain.TriggerDisabled{Trigger: "joins"}, domain.ProjectDisabled{})
		},
		triggers.TriggerDisabled: func(h *projectionstest.History) { // and nothing is released
			h.Add("environment/staging", domain.EnvironmentDefined{})
			h.Add("project/shop", domain.TriggerDefined{Trigger: "staging", Settings: domain.TriggerSettings{
				Events: []domain.Category{domain.Changed}, Environments: []string{"staging"}}})
			h.Add("machine/web-01", domain.MachineChanged{Environment: "staging"})
			h.Add("project/shop", domain.TriggerDisabled{Trigger: "staging"})
		},
		triggers.MadeUnhealthy: func(h *projectionstest.History) { // and no attempts are left
			h.Add("project/shop", domain.ProjectDefined{Settings: domain.ProjectSettings{Attempts: 1,
				Steps: []domain.Step{{Name: "a", Run: "b"}}}})
			h.Attempt("web-01", "1.0", domain.PartFailed, "")
			h.Add("machine/web-01", domain.MachineHealthChanged{Status: domain.Unhealthy})
			require.True(t, h.Exhausted(h.Projects["shop"], h.Machines["web-01"]))
		},
		triggers.BackingOff: func(h *projectionstest.History) { // and nothing asks for it any more
			h.Attempt("web-01", "1.0", domain.PartFailed, "")
			h.Add("project/shop", domain.TriggerDeleted{Trigger: "joins"})
		},
		triggers.NoCause: func(h *projectionstest.History) { // and it was tried before
			h.Attempt("web-01", "1.0", domain.PartFailed, "")
			h.Add("project/shop", domain.TriggerDeleted{Trigger: "joins"})
			h.Wait(time.Hour)
			h.Add("environment/later", domain.EnvironmentDefined{})
		},
		triggers.Retry: func(h *projectionstest.History) { // and it is up to date, with a redeployment due
			h.Attempt("web-01", "1.0", domain.PartSucceeded, "")
			again(h, domain.Enabled)
			h.Add("machine/web-01", domain.MachineEnabled{})
			d := h.Add("project/shop", domain.DeploymentQueued{Kind: domain.Automatic, Environment: "production",
				Release: "1.0", Machines: []domain.DeploymentMachine{{Name: "web-01", Triggers: []string{"again"}}}})
			h.Add("project/shop", domain.PartsWithdrawn{Deployment: d, Machines: []string{"web-01"}, Reason: domain.NotClaimed},
				domain.DeploymentEnded{Deployment: d, State: domain.DeploymentCancelledState})
			h.Wait(time.Hour)
			h.Add("environment/later", domain.EnvironmentDefined{})
			require.False(t, h.Behind(h.Projects["shop"], h.Machines["web-01"]))
		},
	} {
		t.Run(string(want), func(t *testing.T) {
			h := wanting(t)
			prepare(h)
			require.Equal(t, want, judge(h).Reason)
		})
	}
}

func TestDamagedStreamOfTheRunningPartSetsItsMachineAside(t *testing.T) {
	h := wanting(t)
	d := h.Add("project/shop", domain.DeploymentQueued{Kind: domain.Automatic, Environment: "production", Release: "1.0",
		Machines: []domain.DeploymentMachine{{Name: "web-01", Triggers: []string{"joins"}}}})
	h.Claim(d, "web-01")
	require.Equal(t, triggers.DeploymentRunning, judge(h).Reason)
	h.SetAsideStream(domain.PartStream(d, "web-01"))
	require.Equal(t, triggers.SetAside, judge(h).Reason)
}

func TestDamagedStreamOfAVerifiedPartSetsItsProjectAside(t *testing.T) {
	h := wanting(t)
	h.Project("mail", domain.ProjectSettings{Steps: []domain.Step{{Name: "a", Run: "b"}}})
	d := h.Add("project/shop", domain.DeploymentQueued{Kind: domain.Automatic, Environment: "production", Release: "1.0",
		HealthyFor: domain.Duration(time.Minute),
		Machines:   []domain.DeploymentMachine{{Name: "web-01", Triggers: []string{"joins"}}}})
	h.Claim(d, "web-01")
	h.End(d, "web-01", domain.PartSucceeded, "")
	require.Equal(t, triggers.DeploymentRunning, judge(h).Reason)
	h.SetAsideStream(domain.PartStream(d, "web-01"))
	require.Equal(t, triggers.SetAside, judge(h).Reason)
	mail := triggers.Judge(h.View, h.Projects["mail"], h.Machines["web-01"], h.Age)
	require.Equal(t, triggers.NothingReleased, mail.Reason, "the machine is free for other projects")
}

func TestPartOfAnotherProjectDoesNotMakeAMachineWait(t *testing.T) {
	h := wanting(t)
	h.Project("mail", domain.ProjectSettings{Steps: []domain.Step{{Name: "a", Run: "b"}}})
	h.Add("project/mail", domain.DeploymentQueued{Kind: domain.Narrowed, Environment: "production", Release: "1.0",
		Machines: []domain.DeploymentMachine{{Name: "web-01"}}, Origin: domain.By("ann")})
	require.Len(t, h.OpenPartsOn("web-01"), 1)
	require.Equal(t, triggers.Deploy, judge(h).Kind)
}

// The candidate of a disabled trigger stays open, but another trigger must not act on it (laws 19, 20).
func TestSweepDoesNotUseTheCausesOfADisabledTrigger(t *testing.T) {
	h := newFleet(t)
	h.Add("project/shop", domain.TriggerDefined{Trigger: "changes", Settings: domain.TriggerSettings{
		Events: []domain.Category{domain.Changed}, Environments: []string{"*"}}}, domain.TriggerDisabled{Trigger: "joins"})
	h.Join("web-01")
	h.Add("machine/web-01", domain.MachineChanged{Environment: "production", Roles: []string{"web"}})
	h.Add("project/shop", domain.TriggerEnabled{Trigger: "joins"}, domain.TriggerDisabled{Trigger: "changes"})
	verdict := judge(h)
	require.Equal(t, triggers.Sweep, verdict.Reason)
	require.Equal(t, []string{"joins"}, verdict.Triggers)
	require.Empty(t, verdict.Causes)
}

func TestSweepDoesNotRedeployForADisabledTrigger(t *testing.T) {
	h := wanting(t)
	h.Attempt("web-01", "1.0", domain.PartSucceeded, "")
	again(h, domain.Changed)
	h.Add("project/shop", domain.TriggerDisabled{Trigger: "joins"})
	h.Add("machine/web-01", domain.MachineChanged{Environment: "production", Roles: []string{"web"}})
	require.Equal(t, triggers.Redeploy, judge(h).Reason)
	h.Add("project/shop", domain.TriggerEnabled{Trigger: "joins"}, domain.TriggerDisabled{Trigger: "again"})
	require.Equal(t, triggers.UpToDate, judge(h).Reason)
}

func TestMachinesForADisabledSweepAreNotJudged(t *testing.T) {
	h := newFleet(t)
	h.Add("project/shop", domain.TriggerDisabled{Trigger: "joins"})
	h.Join("web-01")
	require.Equal(t, []string{"web-01"}, h.Projects["shop"].Sweep())
	require.Empty(t, triggers.Decide(h.View, h.Age))
	h.Add("project/shop", domain.TriggerEnabled{Trigger: "joins"})
	require.Len(t, triggers.Decide(h.View, h.Age), 1)
}

func TestAutomaticDeploymentHasTheSettingsAndCausesOfItsMachines(t *testing.T) {
	h := newFleet(t)
	h.Add("project/shop", domain.ProjectDefined{Settings: domain.ProjectSettings{MaxParallel: domain.Count(3), HealthyFor: domain.Duration(time.Minute),
		Steps: []domain.Step{{Name: "a", Run: "b"}}}})
	h.Add("project/shop", domain.TriggerDefined{Trigger: "also", Settings: domain.TriggerSettings{
		Events: []domain.Category{domain.CameOnline}, Environments: []string{"*"}}})
	added := h.Add("machine/web-01", domain.MachineAdded{Environment: "production"})
	online := h.Connect("web-01", domain.ID{}, added)
	causes := []domain.ID{added, online} // oldest first, although trigger also knows only the second
	require.Equal(t, []domain.Decision{{Kind: "deploy", Stream: "project/shop", Causes: causes,
		Events: []domain.Event{domain.DeploymentQueued{Kind: domain.Automatic, Environment: "production", Release: "1.0",
			MaxParallel: domain.Count(3), Unavailable: domain.SkipUnavailable, HealthyFor: domain.Duration(time.Minute), Reason: "behind",
			Machines: []domain.DeploymentMachine{{Name: "web-01", Triggers: []string{"also", "joins"}, Reason: "behind",
				Causes: causes}}}}}}, triggers.Plan(h.View, triggers.Decide(h.View, h.Age)))
}

func TestEventOfAnAutomaticDeploymentHasTheFirstTwentyCauses(t *testing.T) {
	h := newFleet(t)
	for i := range 30 {
		h.Join("web-" + string(rune('a'+i)))
	}
	d := triggers.Plan(h.View, triggers.Decide(h.View, h.Age))[0]
	machines := d.Events[0].(domain.DeploymentQueued).Machines
	require.Len(t, machines, 30)
	require.Len(t, d.Causes, 20)
	require.Equal(t, machines[0].Causes, d.Causes[:len(machines[0].Causes)])
}

func TestSweepNamesItsTriggersInOrder(t *testing.T) {
	h := newFleet(t)
	for _, name := range []string{"zz", "aa", "mm"} {
		h.Add("project/shop", domain.TriggerDefined{Trigger: name, Settings: domain.TriggerSettings{
			Events: []domain.Category{domain.AvailableGroup}, Environments: []string{"*"}}})
	}
	h.Add("project/shop", domain.ProjectDisabled{}) // so that no candidate is opened
	h.Join("web-01")
	h.Add("project/shop", domain.ProjectEnabled{})
	require.Equal(t, triggers.Sweep, judge(h).Reason)
	require.Equal(t, []string{"aa", "joins", "mm", "zz"}, judge(h).Triggers)
}

func TestPercentageOfSlotsIsOneOfAllMachinesInScope(t *testing.T) {
	h := newFleet(t)
	h.Add("project/shop", domain.ProjectDefined{Settings: domain.ProjectSettings{MaxParallel: domain.Percent(50),
		Roles: []string{"web"}, Steps: []domain.Step{{Name: "a", Run: "b"}}}})
	h.Add("project/shop", domain.TriggerDisabled{Trigger: "joins"})
	for i := range 6 {
		name := "web-" + string(rune('a'+i))
		h.Add("machine/"+name, domain.MachineAdded{Environment: "production", Roles: []string{"web"}})
		h.Add("machine/db-"+name, domain.MachineAdded{Environment: "production", Roles: []string{"db"}})
	}
	h.Add("project/shop", domain.TriggerEnabled{Trigger: "joins"})
	h.Connect("web-a", domain.ID{}, domain.ID{7: 7})
	d := triggers.Plan(h.View, triggers.Decide(h.View, h.Age))[0]
	queued := d.Events[0].(domain.DeploymentQueued)
	require.Len(t, queued.Machines, 1)
	require.Equal(t, domain.Count(3), queued.MaxParallel)
}
