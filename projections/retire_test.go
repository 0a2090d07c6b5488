package projections_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/droverhq/drover/domain"
	"github.com/droverhq/drover/projections/projectionstest"
)

func TestReleaseIsRetiredOnlyAfterItsLastDeploymentHasEnded(t *testing.T) {
	h := projectionstest.New(t)
	incarnation := defineShop(h)
	h.Add("environment/lab", domain.EnvironmentDefined{})
	h.Add(domain.ReleaseStream("shop", incarnation, "1.0"), domain.ReleaseCreated{Incarnation: incarnation, Version: "1.0"})
	id := h.Add("project/shop", domain.DeploymentQueued{Kind: domain.Narrowed, Environment: "lab", Release: "1.0"})
	require.Equal(t, id, h.World().OpenDeploymentOf("shop", "1.0"))
	require.Zero(t, h.World().OpenDeploymentOf("shop", "1.1"))
	require.Zero(t, h.World().OpenDeploymentOf("blog", "1.0"))
	retire := domain.RetireRelease{Project: "shop", Release: "1.0", Reason: "wrong"}
	_, refused := retire.Decide(h.World())
	require.Equal(t, domain.Conflict, refused.Kind)

	h.Add("project/shop", domain.DeploymentEnded{Deployment: id, State: domain.DeploymentFailed})
	events, refused := retire.Decide(h.World())
	require.Nil(t, refused)
	h.Add("project/shop", events...)
	p := h.Projects["shop"]
	require.Equal(t, "wrong", p.Retired["1.0"].Reason)
	require.Equal(t, h.Position, p.RetiredAt["1.0"].Position)
	require.Contains(t, p.Versions, "1.0", "it stays in lists")

	h.Add("project/shop", domain.ReleaseRestored{Release: "1.0"})
	require.Empty(t, p.Retired)
	require.Empty(t, p.RetiredAt)
}

func TestRecreatedProjectHasNoRetiredReleases(t *testing.T) {
	h := projectionstest.New(t)
	defineShop(h)
	h.Add("project/shop", domain.ReleaseRetired{Release: "1.0", Reason: "wrong"}, domain.ProjectDeleted{})
	defineShop(h)
	require.Empty(t, h.Projects["shop"].Retired)
}
