package engine

import (
	"encoding/json"
	"os"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/droverhq/drover/domain"
	"github.com/droverhq/drover/eventlog"
	"github.com/droverhq/drover/projections"
	"github.com/droverhq/drover/projections/projectionstest"
)

// If the id of a command's first event changed, a command that is sent again after an upgrade would be mistaken for
// another command.
func TestCommandIDsNeverChange(t *testing.T) {
	text, err := os.ReadFile("testdata/command-ids.json")
	require.NoError(t, err)
	golden := map[string]string{}
	require.NoError(t, json.Unmarshal(text, &golden))
	log, key, none := uuid.MustParse("6ba7b810-9dad-11d1-80b4-00c04fd430c8"), domain.ID{15: 7}, domain.Amount{}
	ids := map[string]string{}
	for _, c := range []domain.Command{
		domain.ApplyMachine{Name: "web-01", Environment: "production", Roles: []string{"web"},
			Origin: domain.By("ann")},
		domain.Deploy{Project: "shop", Release: "1.0", Environment: "production", MaxParallel: &none},
		domain.CreateRelease{Project: "shop", Version: "1.0"},
		domain.ApplyProject{Name: "shop",
			Settings: domain.ProjectSettings{Variables: map[string]string{"B": "2", "A": "1"}}},
		domain.ClaimPart{Deployment: domain.ID{1}, Machine: "web-01", Session: domain.ID{2}, Instance: domain.ID{3}},
	} {
		ids[domain.CommandName(c)] = commandID(log, key, c).String()
	}
	require.Equal(t, golden, ids)
}

func TestCommandIDDependsOnLogKeyAndCommand(t *testing.T) {
	log, key := uuid.New(), domain.ID{1}
	enable := domain.SetMachineEnabled{Name: "web-01", Enabled: true}
	require.NotEqual(t, commandID(log, key, enable), commandID(log, domain.ID{2}, enable))
	require.NotEqual(t, commandID(log, key, enable), commandID(uuid.New(), key, enable))
	require.NotEqual(t, commandID(log, key, enable),
		commandID(log, key, domain.SetProjectEnabled{Name: "web-01", Enabled: true}))
	other := enable
	other.Origin = domain.By("bob")
	require.Equal(t, commandID(log, key, enable), commandID(log, key, other))
}

func TestCommandSentBeforeAnUpgradeIsRecognizedByItsKey(t *testing.T) {
	create := domain.CreateRelease{Project: "shop", Version: "1.0"}
	by := func(version int, signed bool, position eventlog.Position, stream string) projections.Receipt {
		return projections.Receipt{First: domain.ID{byte(version)}, Type: "release.created/v1", Stream: stream,
			HasActor: signed, Position: position}
	}
	for _, c := range []struct {
		receipt projections.Receipt
		command domain.Command
		repeat  bool
	}{
		{by(1, false, 7, "project/shop"), create, true},
		{by(1, true, 7, "project/shop"), create, true},   // the project has a variable named actor
		{by(1, false, 11, "project/shop"), create, true}, // just after the newer server had started
		{by(2, true, 11, "project/shop"), create, false},
		{by(1, false, 7, "project/other"), create, false},
		{by(1, false, 7, "project/shop"), domain.DeleteProject{Name: "shop"}, false},
		{by(1, false, 7, "project/shop"), domain.DeleteProject{Name: "gone"}, false},
	} {
		h := projectionstest.New(t)
		h.Add(domain.ProjectStream("shop"),
			domain.ProjectDefined{Settings: domain.ProjectSettings{Steps: []domain.Step{{Name: "a", Run: "true"}}}})
		h.Fence.Raised = 9
		result, err := repeatResult(h.View, c.receipt, []domain.ID{{9}}, c.command)
		require.Equal(t, c.repeat, result.Repeat, "%+v", c)
		if !c.repeat {
			require.ErrorContains(t, err, "was used for another command")
		}
		h.Fence.Raised = 0 // no older version has written to the log
		_, err = repeatResult(h.View, c.receipt, []domain.ID{{9}}, c.command)
		require.ErrorContains(t, err, "was used for another command")
	}
}
