package engine_test

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/droverhq/drover/domain"
	"github.com/droverhq/drover/projections"
)

// deploy deploys release 1.0 to production with the other settings of c, and returns the deployment's id.
func (f *fixture) deploy(c domain.Deploy) domain.ID {
	f.t.Helper()
	c.Project, c.Release, c.Environment = "shop", "1.0", "production"
	return f.do(c).Deployment
}

func (f *fixture) part(deployment domain.ID, machine string) (state domain.PartState) {
	f.Read(func(v *projections.View) { state = v.Deployments[deployment].Parts[machine].State })
	return state
}

func TestDeploymentEndsUnclaimedPartsOnItsMachines(t *testing.T) {
	f := newFixture(t)
	f.shop()
	f.deploy(domain.Deploy{})
	for n := range byte(4) {
		f.join(fmt.Sprintf("web-%d", n), n)
	}
	var automatic domain.ID
	for _, w := range f.tick().Appended {
		f.Read(func(v *projections.View) { automatic = v.OpenDeployments()[0].ID })
		require.IsType(t, domain.DeploymentQueued{}, w.Event)
	}
	f.do(domain.SetHold{Project: "shop", Machine: "web-3"})

	narrowed := f.deploy(domain.Deploy{Machines: []string{"web-0"}})
	require.Equal(t, domain.PartCancelled, f.part(automatic, "web-0"))
	require.Equal(t, domain.PartReleased, f.part(automatic, "web-1"), "other machines keep their parts")

	wide := f.deploy(domain.Deploy{Exclude: []string{"web-0"}})
	require.Equal(t, domain.PartReleased, f.part(narrowed, "web-0"), "an excluded machine keeps its part")
	require.Equal(t, domain.PartCancelled, f.part(automatic, "web-1"))
	require.Equal(t, domain.PartSkipped, f.part(wide, "web-3"), "held by a person")

	later := f.deploy(domain.Deploy{Exclude: []string{"web-1"}})
	require.Equal(t, domain.PartCancelled, f.part(wide, "web-1"),
		"an environment-wide deployment is superseded as a whole")
	require.Equal(t, domain.PartCancelled, f.part(narrowed, "web-0"))
	require.Equal(t, domain.PartReleased, f.part(later, "web-0"))
	f.Read(func(v *projections.View) {
		require.Equal(t, []domain.ID{narrowed}, v.Deployments[later].Parts["web-0"].Replaced)
	})
}

func TestDeploymentReplacesSixHundredOthersAtOnce(t *testing.T) {
	f := newFixture(t)
	f.shop()
	for n := range 600 {
		name := fmt.Sprintf("web-%03d", n)
		for _, c := range []domain.Command{domain.ApplyMachine{Name: name, Environment: "production"},
			domain.ConnectMachine{Name: name, Server: f.Server(), Session: domain.ID{1: 1, 2: byte(n), 3: byte(n >> 8)},
				Instance: domain.ID{2: 1}},
			domain.Deploy{Project: "shop", Release: "1.0", Environment: "production", Machines: []string{name}}} {
			_, err := f.Handle(t.Context(), domain.ID{}, c)
			require.NoError(t, err)
		}
	}
	last := f.deploy(domain.Deploy{})
	f.Read(func(v *projections.View) {
		require.Len(t, v.OpenDeployments(), 1)
		require.Equal(t, 600, v.Deployments[last].OpenParts())
	})
}
