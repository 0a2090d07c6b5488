package engine

import (
	"encoding/json"
	"os"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/droverhq/drover/domain"
	"github.com/droverhq/drover/projections"
)

// TestCommandIDsNeverChange holds the ids of some commands' first events. If one changes, a command that is sent again after an
// upgrade is taken for another one.
func TestCommandIDsNeverChange(t *testing.T) {
	text, err := os.ReadFile("testdata/command-ids.json")
	require.NoError(t, err)
	golden := map[string]string{}
	require.NoError(t, json.Unmarshal(text, &golden))
	log, key, none := uuid.MustParse("6ba7b810-9dad-11d1-80b4-00c04fd430c8"), domain.ID{15: 7}, 0
	ids := map[string]string{}
	for _, c := range []domain.Command{
		domain.ApplyMachine{Name: "web-01", Environment: "production", Roles: []string{"web"}, Origin: domain.By("ann")},
		domain.Deploy{Project: "shop", Release: "1.0", Environment: "production", MaxParallel: &none},
		domain.CreateRelease{Project: "shop", Version: "1.0"},
		domain.ApplyProject{Name: "shop", Settings: domain.ProjectSettings{Variables: map[string]string{"B": "2", "A": "1"}}},
		domain.ClaimPart{Deployment: domain.ID{1}, Machine: "web-01", Session: domain.ID{2}, Instance: domain.ID{3}},
	} {
		ids[domain.CommandName(c)] = commandID(log, key, c).String()
	}
	require.Equal(t, golden, ids)
}

func TestAnotherSenderIDOrCommandIsAnotherID(t *testing.T) {
	log, key := uuid.New(), domain.ID{1}
	enable := domain.SetMachineEnabled{Name: "web-01", Enabled: true}
	require.NotEqual(t, commandID(log, key, enable), commandID(log, domain.ID{2}, enable))
	require.NotEqual(t, commandID(log, key, enable), commandID(uuid.New(), key, enable))
	require.NotEqual(t, commandID(log, key, enable), commandID(log, key, domain.SetProjectEnabled{Name: "web-01", Enabled: true}))
	other := enable
	other.Origin = domain.By("bob")
	require.Equal(t, commandID(log, key, enable), commandID(log, key, other))
}

func TestACommandThatWasSentBeforeAnUpgradeIsRecognisedByItsKey(t *testing.T) {
	before := projections.Receipt{First: domain.ID{1}, Position: 7}
	result, err := repeated(before, domain.ID{2}, 9)
	require.NoError(t, err)
	require.True(t, result.Repeat)
	_, err = repeated(before, domain.ID{2}, 5)
	require.ErrorContains(t, err, "was used for another command")
}
