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

// automatic queues an automatic deployment of 1.0 to web-01 for some triggers, and returns its part.
func automatic(h *projectionstest.History, triggers ...string) *projections.Part {
	d := h.Add("project/shop", domain.DeploymentQueued{Kind: domain.Automatic, Environment: "production", Release: "1.0",
		Machines: []domain.DeploymentMachine{{Name: "web-01", Triggers: triggers}}})
	return h.Deployments[d].Parts["web-01"]
}

func TestMachineThatHasTheReleaseStartsItAgainOnlyIfDirtyOrForARedeployment(t *testing.T) {
	h := projectionstest.OneMachine(t)
	trigger(h, "again", domain.TriggerSettings{Events: []domain.Category{domain.Enabled}, Redeploy: true})
	h.Attempt("web-01", "1.0", domain.PartSucceeded, "")
	require.Equal(t, domain.NoLongerWanted, h.ClaimCheck(automatic(h, "joins"), projectionstest.Session))

	h.Add("machine/web-01", domain.MachineEnabled{})
	redeployment := automatic(h, "again")
	require.Empty(t, h.ClaimCheck(redeployment, projectionstest.Session))
	h.Claim(redeployment.Deployment.ID, "web-01")
	h.End(redeployment.Deployment.ID, "web-01", domain.PartFailed, "")
	require.Equal(t, "1.0", h.Actual(h.Projects["shop"], h.Machines["web-01"]))
	require.Empty(t, h.ClaimCheck(automatic(h, "joins"), projectionstest.Session), "the attempt left it dirty")
}

func TestEndOfAPartIsTheReasonEvenIfItsProjectWasDeleted(t *testing.T) {
	h := projectionstest.OneMachine(t)
	part := automatic(h, "joins")
	h.Add("project/shop", domain.ProjectDeleted{})
	require.Equal(t, domain.PartHasEnded, h.ClaimCheck(part, projectionstest.Session))
}
