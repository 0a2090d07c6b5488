package triggers_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/droverhq/drover/domain"
	"github.com/droverhq/drover/eventlog"
	"github.com/droverhq/drover/projections/projectionstest"
	"github.com/droverhq/drover/triggers"
)

func TestDelayDoublesWithEachFailedAttemptUpToAnHour(t *testing.T) {
	minute := domain.Duration(time.Minute)
	for count, want := range []time.Duration{time.Minute, time.Minute, 2 * time.Minute, 4 * time.Minute,
		8 * time.Minute} {
		require.Equal(t, want, triggers.Delay(minute, count))
	}
	require.Equal(t, time.Hour, triggers.Delay(minute, 40))
	require.Equal(t, time.Hour, triggers.Delay(minute, domain.MaxAttempts), "the delay does not overflow")
}

// newFleet returns a history of project shop. Production wants its release 1.0, and its trigger joins selects machines
// that become available.
func newFleet(t *testing.T) *projectionstest.History {
	h := projectionstest.New(t)
	h.Shop(domain.ProjectSettings{Steps: []domain.Step{{Name: "a", Run: "b"}}}, domain.TriggerDefined{Trigger: "joins",
		Settings: domain.TriggerSettings{Events: []domain.Category{domain.AvailableGroup},
			Environments: []string{"production"}}})
	h.Want("1.0")
	return h
}

func TestPlanSplitsMoreThanFiveHundredMachinesIntoSeveralDeployments(t *testing.T) {
	h := newFleet(t)
	for i := range 1201 {
		h.Join(fmt.Sprintf("web-%04d", i))
	}
	seen := map[string]int{}
	decisions := triggers.Plan(h.View, triggers.Decide(h.View, h.Age))
	require.Len(t, decisions, 3)
	for i, d := range decisions {
		machines := d.Events[0].(domain.DeploymentQueued).Machines
		require.Len(t, machines, []int{domain.MaxNamedMachines, domain.MaxNamedMachines, 201}[i])
		for _, m := range machines {
			seen[m.Name]++
		}
	}
	require.Len(t, seen, 1201)
	for name, n := range seen {
		require.Equal(t, 1, n, name)
	}
}

func TestLargestAutomaticDeploymentFitsIntoOneAppend(t *testing.T) {
	h := newFleet(t)
	for _, trigger := range []string{"b", "c"} {
		h.Add("project/shop", domain.TriggerDefined{Trigger: trigger + fmt.Sprintf("%061d", 0),
			Settings: domain.TriggerSettings{
				Events: []domain.Category{domain.AvailableGroup}, Environments: []string{"*"}}})
	}
	for i := range domain.MaxNamedMachines {
		name := fmt.Sprintf("%063d", i)
		h.Join(name)
		for range 20 {
			h.Add("machine/"+name, domain.MachineDisabled{}, domain.MachineEnabled{})
		}
	}
	decisions := triggers.Plan(h.View, triggers.Decide(h.View, h.Age))
	require.Len(t, decisions, 1)
	_, data, err := domain.Encode(decisions[0].Events[0])
	require.NoError(t, err)
	require.LessOrEqual(t, len(data), eventlog.MaxAppendBytes)
}

func TestTwoTriggersForOneMachineAddOnePart(t *testing.T) {
	h := newFleet(t)
	h.Add("project/shop", domain.TriggerDefined{Trigger: "also", Settings: domain.TriggerSettings{
		Events: []domain.Category{domain.CameOnline}, Environments: []string{"*"}}})
	h.Join("web-01")
	decisions := triggers.Plan(h.View, triggers.Decide(h.View, h.Age))
	require.Len(t, decisions, 1)
	machines := decisions[0].Events[0].(domain.DeploymentQueued).Machines
	require.Len(t, machines, 1)
	require.Equal(t, []string{"also", "joins"}, machines[0].Triggers)
	require.Len(t, machines[0].Causes, 2)
}

func TestCandidateOfADisabledTriggerIsNotACauseForAnotherTrigger(t *testing.T) {
	h := newFleet(t)
	h.Join("web-01")
	h.Add("project/shop", domain.TriggerDisabled{Trigger: "joins"},
		domain.TriggerDefined{Trigger: "changes", Settings: domain.TriggerSettings{
			Events: []domain.Category{domain.Changed}, Environments: []string{"*"}}})
	changed := h.Add("machine/web-01", domain.MachineChanged{Environment: "production", Roles: []string{"web"}})
	machines := triggers.Plan(h.View, triggers.Decide(h.View, h.Age))[0].Events[0].(domain.DeploymentQueued).Machines
	require.Equal(t, []string{"changes"}, machines[0].Triggers)
	require.Equal(t, []domain.ID{changed}, machines[0].Causes)
}

func TestBalanceDoesNotDecide(t *testing.T) {
	h := newFleet(t)
	h.Join("web-01")
	h.Add("machine/web-01", domain.MachineDisabled{}, domain.MachineEnabled{}, domain.MachineDisabled{})
	verdicts := triggers.Decide(h.View, h.Age)
	require.Len(t, verdicts, 1)
	require.Equal(t, triggers.MachineUnavailable, verdicts[0].Reason, "the end state counts: +3 -2 is still disabled")
}

func TestDeploymentWithManyTriggersFitsIntoOneAppend(t *testing.T) {
	h := newFleet(t)
	for i := range 40 {
		h.Add("project/shop", domain.TriggerDefined{Trigger: fmt.Sprintf("%02d-%s", i, strings.Repeat("t", 60)),
			Settings: domain.TriggerSettings{Events: []domain.Category{domain.AvailableGroup},
				Environments: []string{"production"}}})
	}
	for i := range 700 {
		h.Join(fmt.Sprintf("web-%04d-%s", i, strings.Repeat("m", 50)))
	}
	seen := map[string]bool{}
	for _, d := range triggers.Plan(h.View, triggers.Decide(h.View, h.Age)) {
		_, data, err := domain.Encode(d.Events[0])
		require.NoError(t, err)
		require.LessOrEqual(t, len(data), eventlog.MaxAppendBytes)
		queued, ok := d.Events[0].(domain.DeploymentQueued)
		require.True(t, ok)
		for _, m := range queued.Machines {
			require.False(t, seen[m.Name], "%s is in two deployments", m.Name)
			seen[m.Name] = true
		}
	}
	require.Len(t, seen, 700)
}
