package api_test

import (
	"context"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/droverhq/drover/api"
	"github.com/droverhq/drover/api/client"
	"github.com/droverhq/drover/domain"
	"github.com/droverhq/drover/query"
)

const shopFile = `apiVersion: drover.dev/v1
kind: Trigger
metadata: {name: joins}
spec: {project: shop, events: [MachineAvailable], environments: [production]}
---
apiVersion: drover.dev/v1
kind: Environment
metadata: {name: production}
---
apiVersion: drover.dev/v1
kind: Project
metadata: {name: shop}
spec: {maxParallel: 10, steps: [{name: install, run: "true"}]}
`

func (f *fixture) apply(text string, dryRun bool) (api.Applied, error) {
	var applied api.Applied
	err := f.admin.Post(context.Background(), "/apply", "",
		object{"documents": []object{{"file": "shop.yaml", "text": text}}, "dryRun": dryRun}, &applied)
	return applied, err
}

func TestFilesAreAppliedInOrderOfTheirReferences(t *testing.T) {
	f := newFixture(t)
	planned, err := f.apply(shopFile, true)
	require.NoError(t, err)
	require.Len(t, planned.Results, 3)
	_, err = f.admin.Get(context.Background(), "/projects/shop", nil, nil)
	require.Equal(t, client.NotFound, client.KindOf(err), "a dry run writes nothing")

	done, err := f.apply(shopFile, false)
	require.NoError(t, err)
	require.Equal(t, []string{"created", "created", "created"}, changes(done))
	require.Equal(t, "shop/joins", done.Results[2].Name)
	again, err := f.apply(shopFile, false)
	require.NoError(t, err)
	require.Equal(t, []string{"unchanged", "unchanged", "unchanged"}, changes(again))
	require.Empty(t, again.Results[0].Diff)
}

func changes(a api.Applied) (list []string) {
	for _, r := range a.Results {
		list = append(list, r.Change)
	}
	return list
}

func TestNothingIsWrittenIfAFileIsInvalid(t *testing.T) {
	f := newFixture(t)
	_, err := f.apply(shopFile+
		"---\napiVersion: drover.dev/v1\nkind: Project\nmetadata: {name: other}\nspec: {maxParalel: 3}\n",
		false)
	var p *client.Problem
	require.ErrorAs(t, err, &p)
	require.Equal(t, 422, p.Status)
	require.Regexp(t, `^shop\.yaml:\d+:\d+$`, p.Errors[0].Location)
	require.Contains(t, p.Errors[0].Message, "maxParallel", "the message suggests the nearest known name")
	_, err = f.admin.Get(context.Background(), "/projects/shop", nil, nil)
	require.Equal(t, client.NotFound, client.KindOf(err))
	_, err = f.apply("", false)
	require.Equal(t, client.Invalid, client.KindOf(err))
}

func TestApplyWithTheSameKeyIsExecutedOnce(t *testing.T) {
	f := newFixture(t)
	key, body := uuid.NewString(), object{"documents": []object{{"file": "shop.yaml", "text": shopFile}}}
	require.NoError(t, f.admin.Post(context.Background(), "/apply", key, body, nil))
	before := f.engine.Position()
	require.NoError(t, f.admin.Post(context.Background(), "/apply", key, body, nil))
	require.Equal(t, before, f.engine.Position())
}

func TestApplyReportsTheSameDueDeploymentsAsItsDryRun(t *testing.T) {
	f := newFixture(t)
	f.shop()
	f.do(domain.DeleteTrigger{Project: "shop", Name: "joins"})
	for n, name := range []string{"web-01", "web-02"} {
		f.do(domain.ApplyMachine{Name: name, Environment: "production"})
		f.do(
			domain.ConnectMachine{
				Name:     name,
				Server:   f.engine.Server(),
				Session:  domain.ID{1: byte(n + 1)},
				Instance: domain.ID{2: byte(n + 1)},
			},
		)
	}
	want := []string{"2 machines will be deployed to: project shop, environment production, release 1.0"}
	for _, dryRun := range []bool{true, false} {
		applied, err := f.apply(shopFile, dryRun)
		require.NoError(t, err)
		require.Equal(t, want, applied.Due, "dry run: %v", dryRun)
	}
	var due query.DueList
	f.get("/due", &due)
	require.Len(t, due.Items, 1)
	require.Equal(t, []string{"web-01", "web-02"}, due.Items[0].Machines)
}

func TestDuePreviewAssumesADisabledTriggerOrProjectEnabled(t *testing.T) {
	f := newFixture(t)
	f.shop()
	f.do(domain.ApplyMachine{Name: "web-01", Environment: "production"})
	f.do(domain.ConnectMachine{Name: "web-01", Server: f.engine.Server(), Session: domain.ID{1: 1},
		Instance: domain.ID{2: 1}})
	for _, disable := range []domain.Command{domain.SetTriggerEnabled{Project: "shop", Name: "joins"},
		domain.SetProjectEnabled{Name: "shop"}} {
		f.do(disable)
		var now, then query.DueList
		f.get("/due", &now)
		require.Empty(t, now.Items)
		path := "/due?project=shop"
		if _, ok := disable.(domain.SetTriggerEnabled); ok {
			path += "&trigger=joins"
		}
		f.get(path, &then)
		require.Len(t, then.Items, 1, path)
		require.Equal(t, []string{"web-01"}, then.Items[0].Machines)
		f.do(domain.SetTriggerEnabled{Project: "shop", Name: "joins", Enabled: true})
	}
}
