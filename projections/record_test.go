package projections_test

import (
	"bytes"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/droverhq/drover/domain"
	"github.com/droverhq/drover/projections"
)

// consistent checks the indexes of the view, and that a saved and loaded copy equals it.
func (f *fleet) consistent(t *testing.T) {
	t.Helper()
	require.Empty(t, f.Inconsistencies())
	f.Touched()
	var data bytes.Buffer
	require.NoError(t, f.Save(&data))
	loaded, err := projections.Load(data.Bytes())
	require.NoError(t, err)
	loaded.Touched()
	require.Empty(t, loaded.Inconsistencies())
	require.Equal(t, f.View, loaded)
}

func TestOpenPartOfADeletedMachineBlocksTheNextMachineOfThatName(t *testing.T) {
	b := newFleet(t, 3)
	d := b.Add("project/shop", domain.DeploymentQueued{Kind: domain.Narrowed, Environment: "production", Release: "1.0",
		Machines: []domain.DeploymentMachine{{Name: "web-01"}, {Name: "never-added"}}})
	part, unknown := b.Deployments[d].Parts["web-01"], b.Deployments[d].Parts["never-added"]
	require.Same(t, b.Machines["web-01"], b.MachineOf(part))
	require.Nil(t, b.MachineOf(unknown))
	b.consistent(t)

	b.Add("machine/web-01", domain.MachineDeleted{})
	require.Nil(t, b.MachineOf(part))
	require.Equal(t, []*projections.Part{part}, b.OpenPartsOn("web-01"))
	b.consistent(t)

	b.Add("machine/web-01", domain.MachineAdded{Environment: "production"})
	require.Same(t, b.Machines["web-01"], b.MachineOf(part))
	require.False(t, part.IsFor(b.Machines["web-01"]), "it is a different machine")
	require.Equal(t, []*projections.Part{part}, b.OpenPartsOn("web-01"))
	b.consistent(t)

	for _, name := range []string{"web-01", "never-added"} {
		b.Add(domain.PartStream(d, name), domain.PartEnded{Project: "shop", State: domain.PartSkipped,
			Reason: domain.MachineGone})
		require.Empty(t, b.OpenPartsOn(name))
	}
	require.Same(t, b.Machines["web-01"], b.MachineOf(part), "an ended part finds the current machine by name")
	b.consistent(t)
}

func TestIndexesStayConsistentWhenMachinesLeaveAndMove(t *testing.T) {
	b := newFleet(t, 6)
	b.Add("environment/staging", domain.EnvironmentDefined{})
	b.Add("machine/web-00", domain.MachineDeleted{})
	b.Add("machine/web-02", domain.MachineChanged{Environment: "staging"})
	b.Add("machine/web-03", domain.MachineWentOffline{Connect: b.Machines["web-03"].Connect})
	b.consistent(t)
	b.Add("machine/web-05", domain.MachineDeleted{})
	b.Add("machine/web-03", domain.MachineCameOnline{Session: domain.ID{1}, Instance: domain.ID{2}})
	b.consistent(t)
	require.Len(t, b.MachinesIn("production"), 3)
	require.Len(t, b.MachinesIn("staging"), 1)
}
