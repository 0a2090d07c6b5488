package projections_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/droverhq/drover/domain"
	"github.com/droverhq/drover/projections"
	"github.com/droverhq/drover/projections/projectionstest"
)

// calm is a test aggregate: while a policy named calm exists, no part may start.
var calm = projections.Fold{Name: "calm", Follows: []string{domain.PolicyStreams},
	New: func() any { return new(bool) },
	Follow: func(v *projections.View, name string, f projections.Fact) {
		if name != "calm" {
			return
		}
		_, *isCalm(v) = f.Event.(domain.PolicyDefined)
		for machine := range v.Machines {
			v.Touch(machine)
		}
	},
	Forbids: func(v *projections.View, _ *projections.Part, _ *projections.Machine) domain.PartReason {
		if *isCalm(v) {
			return "calm"
		}
		return ""
	},
	Save: func(s *projections.Saving) any { return isCalm(s.View) },
	Load: func(l *projections.Loading) { l.Decode(isCalm(l.View)) },
}

// permissive is another test aggregate: it forbids nothing.
var permissive = projections.Fold{Name: "permissive", Follows: []string{domain.PolicyStreams},
	Follow:  func(*projections.View, string, projections.Fact) {},
	Forbids: func(*projections.View, *projections.Part, *projections.Machine) domain.PartReason { return "" }}

func isCalm(v *projections.View) *bool { return v.State("calm").(*bool) }

func TestFoldCanForbidAClaimAndTouchesTheMachinesItConcerns(t *testing.T) {
	h := projectionstest.New(t, permissive, calm)
	h.Shop(domain.ProjectSettings{Steps: []domain.Step{{Name: "start", Run: "true"}}})
	h.Join("web-01")
	d := h.Add("project/shop", domain.DeploymentQueued{Kind: domain.EnvironmentWide, Environment: "production",
		Release:  "1.0",
		Machines: []domain.DeploymentMachine{{Name: "web-01"}}})
	part, session := h.Deployments[d].Parts["web-01"], h.Machines["web-01"].Session
	require.Empty(t, h.ClaimCheckOnceReleased(part, session))
	h.Touched()

	h.Add("policy/calm", domain.PolicyDefined{})
	require.EqualValues(t, "calm", h.ClaimCheckOnceReleased(part, session))
	require.Equal(t, "web-01", h.Touched()[0].Name)

	h.Add("policy/calm", domain.PolicyDeleted{})
	require.Empty(t, h.ClaimCheckOnceReleased(part, session))
	require.Equal(t, "web-01", h.Touched()[0].Name)
}
