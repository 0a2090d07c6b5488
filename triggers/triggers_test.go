package triggers_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/droverhq/drover/domain"
	"github.com/droverhq/drover/eventlog"
	"github.com/droverhq/drover/projections"
	"github.com/droverhq/drover/triggers"
)

func TestAMachineThatKeepsFailingIsLeftAloneForTwiceAsLongEachTimeUpToAnHour(t *testing.T) {
	minute := domain.Duration(time.Minute)
	for count, want := range []time.Duration{time.Minute, time.Minute, 2 * time.Minute, 4 * time.Minute, 8 * time.Minute} {
		require.Equal(t, want, triggers.Delay(minute, count))
	}
	require.Equal(t, time.Hour, triggers.Delay(minute, 40))
}

// yard folds facts that a test writes, one position after the other.
type yard struct {
	*projections.View
	t         *testing.T
	revisions map[string]eventlog.Revision
}

func newYard(t *testing.T) *yard {
	return &yard{View: projections.New(), t: t, revisions: map[string]eventlog.Revision{}}
}

func (y *yard) put(stream string, facts ...domain.Event) (last domain.ID) {
	for _, fact := range facts {
		typeName, data, err := domain.Encode(fact)
		require.NoError(y.t, err)
		revision := y.revisions[stream]
		y.revisions[stream]++
		last = domain.ID(uuid.New())
		y.Apply(eventlog.Recorded{Stream: stream, Revision: revision, Position: y.Position + 1,
			Event: eventlog.Event{ID: uuid.UUID(last), Type: typeName, Data: data}})
	}
	return last
}

func (y *yard) shop() {
	y.put("environment/production", domain.EnvironmentDefined{})
	y.put("project/shop", domain.ProjectDefined{Settings: domain.ProjectSettings{Steps: []domain.Step{{Name: "a", Run: "b"}}}},
		domain.TriggerDefined{Trigger: "joins", Settings: domain.TriggerSettings{Events: []domain.Category{domain.AvailableGroup},
			Environments: []string{"production"}}},
		domain.ReleaseCreated{Version: "1.0"})
	d := y.put("project/shop", domain.DeploymentQueued{Kind: domain.EnvironmentWide, Environment: "production", Release: "1.0"})
	y.put("project/shop", domain.DeploymentEnded{Deployment: d, State: domain.DeploymentSucceeded})
}

func (y *yard) join(name string) {
	y.put("machine/"+name, domain.MachineAdded{Environment: "production"}, domain.MachineCameOnline{Instance: domain.ID{1}})
}

func now(eventlog.Position) time.Duration { return 0 }

func TestMoreThanFiveHundredMachinesAreSeveralDeploymentsAndEachMachineIsInOne(t *testing.T) {
	y := newYard(t)
	y.shop()
	for i := range 1201 {
		y.join(fmt.Sprintf("web-%04d", i))
	}
	seen := map[string]int{}
	decisions := triggers.Plan(y.View, triggers.Decide(y.View, now))
	require.Len(t, decisions, 3)
	for _, d := range decisions {
		for _, m := range d.Events[0].(domain.DeploymentQueued).Machines {
			seen[m.Name]++
		}
	}
	require.Len(t, seen, 1201)
	for name, n := range seen {
		require.Equal(t, 1, n, name)
	}
}

func TestAnAutomaticDeploymentOfTheLargestSizeFitsIntoOneAppend(t *testing.T) {
	y := newYard(t)
	y.shop()
	for _, trigger := range []string{"b", "c"} {
		y.put("project/shop", domain.TriggerDefined{Trigger: trigger + fmt.Sprintf("%061d", 0), Settings: domain.TriggerSettings{
			Events: []domain.Category{domain.AvailableGroup}, Environments: []string{"*"}}})
	}
	for i := range domain.MaxNamedMachines {
		name := fmt.Sprintf("%063d", i)
		y.join(name)
		for range 20 {
			y.put("machine/"+name, domain.MachineDisabled{}, domain.MachineEnabled{})
		}
	}
	decisions := triggers.Plan(y.View, triggers.Decide(y.View, now))
	require.Len(t, decisions, 1)
	_, data, err := domain.Encode(decisions[0].Events[0])
	require.NoError(t, err)
	require.LessOrEqual(t, len(data), eventlog.MaxAppendBytes)
}

func TestTwoTriggersOverOneMachineMakeOnePart(t *testing.T) {
	y := newYard(t)
	y.shop()
	y.put("project/shop", domain.TriggerDefined{Trigger: "also", Settings: domain.TriggerSettings{
		Events: []domain.Category{domain.CameOnline}, Environments: []string{"*"}}})
	y.join("web-01")
	decisions := triggers.Plan(y.View, triggers.Decide(y.View, now))
	require.Len(t, decisions, 1)
	machines := decisions[0].Events[0].(domain.DeploymentQueued).Machines
	require.Len(t, machines, 1)
	require.Equal(t, []string{"also", "joins"}, machines[0].Triggers)
	require.Len(t, machines[0].Causes, 2)
}

func TestWhatADisabledTriggerWaitsForIsNoCauseOfWhatAnotherOneDoes(t *testing.T) {
	y := newYard(t)
	y.shop()
	y.join("web-01")
	y.put("project/shop", domain.TriggerDisabled{Trigger: "joins"}, domain.TriggerDefined{Trigger: "changes", Settings: domain.TriggerSettings{
		Events: []domain.Category{domain.Changed}, Environments: []string{"*"}}})
	changed := y.put("machine/web-01", domain.MachineChanged{Environment: "production", Roles: []string{"web"}})
	machines := triggers.Plan(y.View, triggers.Decide(y.View, now))[0].Events[0].(domain.DeploymentQueued).Machines
	require.Equal(t, []string{"changes"}, machines[0].Triggers)
	require.Equal(t, []domain.ID{changed}, machines[0].Causes)
}

func TestTheBalanceIsShownAndDecidesNothing(t *testing.T) {
	y := newYard(t)
	y.shop()
	y.join("web-01")
	y.put("machine/web-01", domain.MachineDisabled{}, domain.MachineEnabled{}, domain.MachineDisabled{})
	verdicts := triggers.Decide(y.View, now)
	require.Len(t, verdicts, 1)
	require.Equal(t, triggers.MachineUnavailable, verdicts[0].Reason, "the end state counts: +3 -2 is still disabled")
}

func TestEachDeploymentFitsIntoOneAppendHoweverManyTriggersAskForIt(t *testing.T) {
	y := newYard(t)
	y.shop()
	for i := range 40 {
		y.put("project/shop", domain.TriggerDefined{Trigger: fmt.Sprintf("%02d-%s", i, strings.Repeat("t", 60)),
			Settings: domain.TriggerSettings{Events: []domain.Category{domain.AvailableGroup}, Environments: []string{"production"}}})
	}
	for i := range 700 {
		y.join(fmt.Sprintf("web-%04d-%s", i, strings.Repeat("m", 50)))
	}
	seen := map[string]bool{}
	for _, d := range triggers.Plan(y.View, triggers.Decide(y.View, now)) {
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
