package explain

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/droverhq/drover/domain"
	"github.com/droverhq/drover/projections/projectionstest"
)

func TestColumnsShowWhatIsRolling(t *testing.T) {
	l := projectionstest.OneMachine(t)
	l.Join("web-02")
	l.Attempt("web-01", "1.0", domain.PartSucceeded, "")
	l.Attempt("web-02", "1.0", domain.PartSucceeded, "")
	l.Release("shop", "1.1")
	d := wide(l, "1.1")
	l.Claim(d, "web-01")
	l.End(d, "web-01", domain.PartSucceeded, "")
	f := Filter{}
	machines := MachinesTable(Machines(l.View, f).Items, false)
	require.Equal(t, "shop=1.1", machines.Rows[0][6])
	require.Equal(t, "shop=1.0 → 1.1 (rolling)", machines.Rows[1][6])
	require.Equal(t, "shop=1.0 → 1.1", machines.Rows[0][7], "what is wanted now, and after the rollout")
	require.Equal(t, []Rolling{{Project: "shop", Release: "1.1", Deployment: d.String(), State: "released"}},
		Machines(l.View, f).Items[1].Rolling)
	require.Equal(t, "production=1.0 → 1.1 (rolling)", ProjectsTable(Projects(l.View, f).Items, false).Rows[0][6])
	require.Equal(t, "1.0 → 1.1 (rolling)", StatusTable(StatusOf(l.View, f, nil).Projects).Rows[0][2])
	var text strings.Builder
	require.NoError(t, WhyOf(l.View, old, "shop", "web-02", nil, nil).Text(&text))
	require.Contains(t, text.String(), "\nactual   1.0 → 1.1 (rolling)\n")

	behind := Machines(l.View, Filter{State: "behind"}).Items
	require.Len(t, behind, 1, "the other one has the release of the rollout")
	require.Equal(t, "web-02", behind[0].Name)
}

func TestFirstRolloutAndRepeatedReleaseAreRollingToo(t *testing.T) {
	require.Equal(t, "- → 1.1 (rolling)", rollingCell("", "1.1"))
	require.Equal(t, "1.1 again (rolling)", rollingCell("1.1", "1.1"))
	l := projectionstest.OneMachine(t)
	l.Add("environment/staging", domain.EnvironmentDefined{})
	l.Add("machine/db-01", domain.MachineAdded{Environment: "staging"})
	l.Add("project/shop", domain.DeploymentQueued{Kind: domain.EnvironmentWide, Environment: "staging", Release: "1.0"})
	require.Equal(t, "production=1.0,staging=- → 1.0 (rolling)",
		ProjectsTable(Projects(l.View, Filter{}).Items, false).Rows[0][6])
}

func TestMachineShowsWhichHealthCheckFails(t *testing.T) {
	l := projectionstest.OneMachine(t)
	l.Join("web-02")
	report := func(status domain.Health, detail string) Table {
		l.Add("machine/web-01", domain.MachineHealthChanged{Status: status, Detail: detail, Session: projectionstest.Session})
		return MachinesTable(Machines(l.View, Filter{}).Items, false)
	}
	healthy := report(domain.Healthy, "all is well")
	require.NotContains(t, healthy.Header, "DETAIL")
	unhealthy := report(domain.Unhealthy, "no space left")
	require.Equal(t, "DETAIL", unhealthy.Header[8])
	require.Equal(t, "check of policy default: no space left", unhealthy.Rows[0][8])
	require.Equal(t, healthy.Rows[1], unhealthy.Rows[1], "the rows of other machines do not change")
	l.Connect("web-01", domain.ID{}, domain.ID{2: 9}) // another instance
	m, _ := MachineOf(l.View, "web-01")
	require.Empty(t, m.HealthDetail)
}

func TestFailedFirstInstallationShowsAsDirty(t *testing.T) {
	l := projectionstest.OneMachine(t)
	row := func() string { return MachinesTable(Machines(l.View, Filter{}).Items, false).Rows[0][6] }
	require.Equal(t, "-", row())
	l.Attempt("web-01", "1.0", domain.PartFailed, domain.StepFailed)
	require.Equal(t, "shop=-(dirty)", row())
	m, _ := MachineOf(l.View, "web-01")
	require.True(t, m.Installed[0].Dirty)
	require.False(t, m.Installed[0].Since.IsZero())
	l.Attempt("web-01", "1.0", domain.PartSucceeded, "")
	require.Equal(t, "shop=1.0", row())
}
