package api_test

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/droverhq/drover/api"
	"github.com/droverhq/drover/domain"
	"github.com/droverhq/drover/explain"
)

// heldAtNewer sets up web-01, which is held at 1.1 while the older 1.0 is wanted.
func heldAtNewer(t *testing.T) *fixture {
	f := newFixture(t)
	f.shop()
	f.do(domain.CreateRelease{Project: "shop", Version: "1.1"})
	f.do(domain.ApplyMachine{Name: "web-01", Environment: "production"})
	f.do(domain.ConnectMachine{Name: "web-01", Server: f.engine.Server(), Session: domain.ID{1: 1},
		Instance: domain.ID{2: 1}})
	deployed := f.do(domain.Deploy{Project: "shop", Release: "1.1", Environment: "production",
		Machines: []string{"web-01"}})
	f.do(domain.ClaimPart{Deployment: deployed.Deployment, Machine: "web-01", Session: domain.ID{1: 1},
		Instance: domain.ID{2: 1}})
	f.do(domain.EndPart{Deployment: deployed.Deployment, Machine: "web-01", Session: domain.ID{1: 1},
		Instance: domain.ID{2: 1}, State: domain.PartSucceeded})
	f.tick()
	return f
}

func TestPreviewOfUnholdNamesTheOlderRelease(t *testing.T) {
	f := heldAtNewer(t)
	var p api.Preview
	require.NoError(t, f.admin.Post(context.Background(), "/preview/holds/shop/web-01", "", object{}, &p))
	require.Equal(t, []string{"HoldLifted"}, p.Events)
	require.Equal(t, 1, p.Older)
	require.Equal(t, []explain.Effect{{Project: "shop", Environment: "production", From: "1.1", To: "1.0",
		When: explain.EffectNextTick, Older: true, Count: 1, Machines: []string{"web-01"}}}, p.Due)
	require.Equal(t, "shop on web-01: 1.1 → 1.0 at the next tick, an older release", p.Due[0].String())

	f.do(domain.LiftHold{Project: "shop", Machine: "web-01"})
	var queued []string
	for _, written := range tickReport(f).Appended {
		if q, ok := written.Event.(domain.DeploymentQueued); ok {
			queued = append(queued, q.Release+" "+q.Machines[0].Name)
		}
	}
	require.Equal(t, []string{"1.0 web-01"}, queued)
}

// TestPreviewLeavesOutWhatTheCallerMayNotRead guards that a preview reveals no machine: enabling a project concerns
// machines of all environments.
func TestPreviewLeavesOutWhatTheCallerMayNotRead(t *testing.T) {
	f := newFixture(t)
	f.shop()
	f.do(domain.ApplyEnvironment{Name: "lab"})
	f.do(domain.ApplyTrigger{Project: "shop", Name: "lab-joins", Settings: domain.TriggerSettings{
		Events: []domain.Category{domain.AvailableGroup}, Environments: []string{"lab"}}})
	f.do(domain.Deploy{Project: "shop", Release: "1.0", Environment: "lab"})
	for i, where := range []string{"production", "lab"} {
		name := "in-" + where
		f.do(domain.ApplyMachine{Name: name, Environment: where})
		f.do(domain.ConnectMachine{Name: name, Server: f.engine.Server(), Session: domain.ID{1: byte(i + 1)},
			Instance: domain.ID{2: byte(i + 1)}})
	}
	f.do(domain.SetProjectEnabled{Name: "shop"})
	p, err := f.engine.Preview(context.Background(), domain.SetProjectEnabled{Name: "shop", Enabled: true})
	require.NoError(t, err)
	all := explain.Foreseen{View: p.After.View, Before: p.Before.Due, After: p.After.Due}
	require.Len(t, explain.EffectsOf(nil, all).Due, 2)
	seen := explain.EffectsOf(func(_, environment string) bool { return environment == "lab" }, all)
	require.Len(t, seen.Due, 1)
	require.Equal(t, []string{"in-lab"}, seen.Due[0].Machines)
}

func TestPreviewOfADeploymentLeavesOutMachinesThatItSkips(t *testing.T) {
	f := heldAtNewer(t)
	preview := func() (p api.Preview) {
		require.NoError(t, f.admin.Post(context.Background(), "/preview/deployments", "",
			object{"project": "shop", "release": "1.0", "environment": "production"}, &p))
		return p
	}
	require.Equal(t, 1, preview().Older, "the hold that a deployment left does not skip the machine")
	f.do(domain.SetHold{Project: "shop", Machine: "web-01"})
	require.Empty(t, preview().Due, "a person holds it")
}

// TestDryRunNamesWhatEachChangeMakesDue guards that a reader of a diff sees which of its changes deploys.
func TestDryRunNamesWhatEachChangeMakesDue(t *testing.T) {
	f := newFixture(t)
	f.shop()
	f.do(domain.ApplyMachine{Name: "web-01", Environment: "production", Disabled: true})
	f.do(domain.ConnectMachine{Name: "web-01", Server: f.engine.Server(), Session: domain.ID{1: 1},
		Instance: domain.ID{2: 1}})
	const head = "apiVersion: drover.dev/v1\n"
	text := head + "kind: Environment\nmetadata: {name: production}\n---\n" +
		head + "kind: MachinePolicy\nmetadata: {name: calm}\nspec: {offlineAfter: 40s}\n---\n" +
		head + "kind: Machine\nmetadata: {name: web-01}\nspec: {environment: production}\n"
	var applied api.Applied
	require.NoError(t, f.admin.Post(context.Background(), "/apply", "",
		object{"documents": []object{{"file": "all.yaml", "text": text}}, "dryRun": true}, &applied))
	var shown []string
	for _, r := range applied.Results {
		text := r.Change + " " + r.Name
		if r.Effects != nil && len(r.Effects.Due) > 0 {
			text += ": " + r.Effects.Due[0].String()
		}
		shown = append(shown, text)
	}
	require.Equal(t, []string{"unchanged production", "created calm",
		"changed web-01: shop on web-01: no known release → 1.0 at the next tick"}, shown)
	require.Nil(t, applied.Results[0].Effects, "an unchanged resource")
	require.Empty(t, applied.Results[1].Effects.Due)
	require.Len(t, applied.Effects.Due, 1)
}
