package triggers_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/droverhq/drover/domain"
	"github.com/droverhq/drover/projections/projectionstest"
	"github.com/droverhq/drover/triggers"
)

// reactions are facts of web-01 that open a candidate, by their category.
var reactions = map[domain.Category]domain.Event{
	domain.Added:         domain.MachineAdded{Environment: "production"},
	domain.Changed:       domain.MachineChanged{Environment: "production", Roles: []string{"web"}},
	domain.Enabled:       domain.MachineEnabled{},
	domain.CameOnline:    domain.MachineCameOnline{Session: projectionstest.Session},
	domain.BecameHealthy: domain.MachineHealthChanged{Status: domain.Healthy},
	domain.BecameWarning: domain.MachineHealthChanged{Status: domain.Warning},
}

// summarize returns the settled verdicts of a batch that consists of these facts about web-01. Project shop has a trigger
// for one category; the machine has the wanted release.
func summarize(t *testing.T, trigger domain.TriggerSettings, facts ...domain.Event) ([]triggers.MachineBatch,
	[]triggers.Verdict) {
	h := projectionstest.New(t)
	h.Shop(domain.ProjectSettings{Steps: []domain.Step{{Name: "a", Run: "b"}}},
		domain.TriggerDefined{Trigger: "joins", Settings: trigger})
	h.Join("web-01")
	d := h.Add("project/shop", domain.DeploymentQueued{Kind: domain.EnvironmentWide, Environment: "production",
		Release: "1.0", Origin: domain.By("ann")})
	h.Claim(d, "web-01")
	h.End(d, "web-01", domain.PartSucceeded, "")
	h.Add("project/shop", domain.DeploymentEnded{Deployment: d, State: domain.DeploymentSucceeded})
	for i, fact := range facts {
		if online, ok := fact.(domain.MachineCameOnline); ok {
			online.Instance = h.Machines["web-01"].Instance
			facts[i] = online
		}
	}
	before := len(h.Log)
	h.Add("machine/web-01", facts...)
	var batch triggers.Batch
	for i, rec := range h.Log[before:] {
		batch.Add(rec, facts[i])
	}
	require.Equal(t, len(facts), batch.Events)
	return batch.Summary(h.View, h.Age)
}

func TestSummaryNamesAnUpToDateMachineForWhichATriggerAsked(t *testing.T) {
	for category, fact := range reactions {
		if category == domain.Added {
			continue // a machine that was added again has no release
		}
		for listens := range reactions {
			_, settled := summarize(t, domain.TriggerSettings{Events: []domain.Category{listens},
				Environments: []string{"*"}}, fact)
			if listens != category {
				require.Empty(t, settled, "%s on %s", listens, category)
				continue
			}
			require.Len(t, settled, 1, category)
			require.Equal(t, triggers.UpToDate, settled[0].Reason)
			require.Equal(t, triggers.None, settled[0].Kind)
			require.Equal(t, "web-01", settled[0].Machine)
		}
	}
}

func TestSummaryLeavesOutTriggersThatDoNotMatchTheMachine(t *testing.T) {
	enabled := []domain.Category{domain.Enabled}
	_, settled := summarize(t, domain.TriggerSettings{Events: enabled, Environments: []string{"staging"}},
		domain.MachineEnabled{})
	require.Empty(t, settled)
	_, settled = summarize(t, domain.TriggerSettings{Events: enabled, Environments: []string{"*"},
		Roles: []string{"database"}}, domain.MachineEnabled{})
	require.Empty(t, settled)
}

func TestSummaryCountsEventsByTheirSign(t *testing.T) {
	trigger := domain.TriggerSettings{Events: []domain.Category{domain.Enabled}, Environments: []string{"*"}}
	for want, facts := range map[string][]domain.Event{
		"+1":    {domain.MachineEnabled{}},
		"-1":    {domain.MachineDisabled{}},
		"+1 -2": {domain.MachineDisabled{}, domain.MachineEnabled{}, domain.MachineDisabled{}},
		"0":     {domain.MachineChanged{Environment: "production"}},
	} {
		machines, _ := summarize(t, trigger, facts...)
		require.Len(t, machines, 1)
		require.Equal(t, want, machines[0].String())
		require.True(t, machines[0].Exists)
		require.Equal(t, want == "+1" || want == "0", machines[0].Deployable, want)
	}
}
