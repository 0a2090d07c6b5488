package projections_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/droverhq/drover/domain"
	"github.com/droverhq/drover/projections/projectionstest"
)

// TestSlotOfARoleIsFreedByTheRolesAtTheRelease changes the roles of a machine while its part runs: the part must free the
// slots that it took, and no others.
func TestSlotOfARoleIsFreedByTheRolesAtTheRelease(t *testing.T) {
	h := projectionstest.OneMachine(t)
	h.Join("web-02")
	h.Add("machine/web-01", domain.MachineChanged{Environment: "production", Roles: []string{"web"}})
	h.Add("machine/web-02", domain.MachineChanged{Environment: "production", Roles: []string{"web"}})
	d := h.Add("project/shop", domain.DeploymentQueued{Kind: domain.EnvironmentWide, Environment: "production",
		Release: "1.0", RoleSlots: map[string]int{"web": 1}, Origin: domain.By("ann")})
	parts, p := h.Deployments[d].Parts, h.Projects["shop"]
	require.Equal(t, domain.PartReleased, parts["web-01"].State)
	require.Equal(t, domain.PartQueued, parts["web-02"].State)
	require.Equal(t, 1, p.ReleasedOn("production", "web"))
	h.Add("machine/web-01", domain.MachineChanged{Environment: "production", Roles: []string{"db"}})
	require.False(t, h.Deployments[d].RolesAllow(h.Machines["web-02"], nil), "its part still takes the slot")
	h.Claim(d, "web-01")
	h.End(d, "web-01", domain.PartSucceeded, "")
	require.Equal(t, 0, p.ReleasedOn("production", "web"))
	require.Equal(t, 0, p.ReleasedOn("production", "db"))
	require.True(t, h.Deployments[d].RolesAllow(h.Machines["web-02"], nil))
	require.False(t, h.Deployments[d].RolesAllow(h.Machines["web-02"], map[string]int{"web": 1}))
}
