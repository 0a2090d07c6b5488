package projections_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/droverhq/drover/domain"
	"github.com/droverhq/drover/projections"
	"github.com/droverhq/drover/projections/projectionstest"
)

// Each row forbids the claim by itself, also where the fold would have ended the part before.
func TestEachRowOfTheClaimCheckForbidsByItself(t *testing.T) {
	for want, change := range map[domain.PartReason]func(*projectionstest.History, *projections.Part){
		"":                       func(*projectionstest.History, *projections.Part) {},
		domain.NotReleased:       func(_ *projectionstest.History, p *projections.Part) { p.State = domain.PartQueued },
		domain.AlreadyClaimed:    func(_ *projectionstest.History, p *projections.Part) { p.State = domain.PartRunning },
		domain.PartHasEnded:      func(_ *projectionstest.History, p *projections.Part) { p.State = domain.PartSkipped },
		domain.ProjectGone:       func(_ *projectionstest.History, p *projections.Part) { p.Deployment.Project.Gone = true },
		domain.DeploymentStopped: func(_ *projectionstest.History, p *projections.Part) { p.Deployment.Cancelled = true },
		domain.MachineGone: func(h *projectionstest.History, _ *projections.Part) {
			h.Add("machine/web-01", domain.MachineDeleted{})
		},
		domain.StreamSetAside: func(h *projectionstest.History, _ *projections.Part) { h.SetAsideStream("project/shop") },
		domain.ProjectIsDisabled: func(h *projectionstest.History, _ *projections.Part) {
			h.Add("project/shop", domain.ProjectDisabled{})
		},
		domain.OutOfScope: func(h *projectionstest.History, _ *projections.Part) {
			h.Add("machine/web-01", domain.MachineChanged{Environment: "staging"})
		},
		domain.MachineIsDisabled: func(h *projectionstest.History, _ *projections.Part) {
			h.Add("machine/web-01", domain.MachineDisabled{})
		},
		domain.MachineIsOffline: func(h *projectionstest.History, _ *projections.Part) { h.Disconnect("web-01") },
		domain.HealthNotKnown: func(h *projectionstest.History, _ *projections.Part) {
			h.Add("policy/default", domain.PolicyDefined{Settings: domain.PolicySettings{
				HealthCheck: &domain.HealthCheck{Script: "true"}}})
		},
		domain.OldSession: func(h *projectionstest.History, _ *projections.Part) {
			h.Add("machine/web-01", domain.AgentConnected{Session: domain.ID{7: 7}, Instance: projectionstest.Instance})
		},
		domain.MachineIsBusy: func(h *projectionstest.History, p *projections.Part) { h.Machines["web-01"].Claimed = p },
		domain.TriggerGone: func(h *projectionstest.History, _ *projections.Part) {
			h.Add("project/shop", domain.TriggerDisabled{Trigger: "joins"})
		},
		domain.MachineIsHeld: func(h *projectionstest.History, _ *projections.Part) {
			h.Add("project/shop", domain.HoldSet{Machine: "web-01", Instance: projectionstest.Instance, Origin: domain.By("ann")})
		},
		domain.NoLongerWanted: func(h *projectionstest.History, _ *projections.Part) {
			h.Release("shop", "2.0")
			h.Add("project/shop", domain.PinSet{Environment: "production", Release: "2.0", Origin: domain.By("ann")})
		},
	} {
		t.Run(string(want), func(t *testing.T) {
			h := projectionstest.OneMachine(t)
			d := h.Add("project/shop", domain.DeploymentQueued{Kind: domain.Automatic, Environment: "production",
				Release: "1.0", Machines: []domain.DeploymentMachine{{Name: "web-01", Triggers: []string{"joins"}}}})
			part := h.Deployments[d].Parts["web-01"]
			change(h, part)
			require.Equal(t, want, h.ClaimCheck(part, projectionstest.Session))
		})
	}
}
