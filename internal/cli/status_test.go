package cli

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/droverhq/drover/explain"
)

func TestGridOfAStatusHasAColumnForEachEnvironment(t *testing.T) {
	row := func(project, environment string, change func(*explain.ProjectStatus)) explain.ProjectStatus {
		p := explain.ProjectStatus{Project: project, Environment: environment, Enabled: true, Release: "1.0", Machines: 4,
			Have: 4}
		change(&p)
		return p
	}
	grid := gridOf([]explain.ProjectStatus{
		row("shop", "dev", func(*explain.ProjectStatus) {}),
		row("shop", "production", func(p *explain.ProjectStatus) { p.Deployment, p.Have, p.Failed, p.Held = "9c0f", 1, 1, 2 }),
		row("shop", "qa", func(p *explain.ProjectStatus) { p.Deployment, p.Have, p.Wanted = "9c0f", 1, "0.9" }),
		row("site", "edge", func(p *explain.ProjectStatus) { p.Have, p.Offline, p.Pinned = 3, 1, true }),
		row("site", "production", func(p *explain.ProjectStatus) { p.Release, p.Enabled = "", false }),
	})
	require.Equal(t, []string{"PROJECT", "DEV", "EDGE", "PRODUCTION", "QA"}, grid.Header)
	require.Equal(t, [][]string{
		{"shop", "1.0 ● 4", "-", "1.0 ◐ 1/4 ▲1 ■2", "0.9 → 1.0 ◐ 1/4"},
		{"site", "-", "1.0 ◔ 3/4 ○1 ■ pinned", "-", "-"},
	}, grid.Rows)
	require.True(t, (&tableWriter{style: style{columns: 80}}).fits(grid))
	require.False(t, (&tableWriter{style: style{columns: 40}}).fits(grid), "narrower than the grid")
}
