package domain

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// runningWorld returns a world with a deployment of the shop that runs on web-01 and web-02 and waits on web-03.
func runningWorld(t *testing.T) (w *testWorld, deployment ID) {
	w, deployment = shopWorld(t), number(1)
	w.deployments[deployment] = &DeploymentFacts{Project: "shop"}
	for machine, state := range map[string]PartState{"web-01": PartRunning, "web-02": PartRunning, "web-03": PartQueued,
		"web-04": PartSucceeded} {
		w.parts[PartStream(deployment, machine)] = &Part{Project: "shop", State: state}
	}
	return w, deployment
}

func TestKillCancelsTheDeploymentAndNamesWhoAsked(t *testing.T) {
	w, d := runningWorld(t)
	kill := CancelDeployment{Deployment: d, Kill: true, Reason: "it hangs", Origin: By("ann")}
	require.Equal(t, []Event{DeploymentCancelled{Deployment: d, Kill: true, Reason: "it hangs", Origin: By("ann")}},
		w.do(kill))
	kill.Machine = "web-02"
	require.Equal(t, []Event{DeploymentCancelled{Deployment: d, Kill: true, Machine: "web-02", Reason: "it hangs",
		Origin: By("ann")}}, w.do(kill))
	require.Equal(t, []Event{DeploymentCancelled{Deployment: d, Origin: By("ann")}},
		w.do(CancelDeployment{Deployment: d, Machine: "web-02", Reason: "it hangs", Origin: By("ann")}), "without kill")
}

func TestKillOfACancelledDeploymentIsNoChangeOnceAllPartsAreAsked(t *testing.T) {
	w, d := runningWorld(t)
	w.deployments[d].Cancelled = true
	require.Empty(t, w.do(CancelDeployment{Deployment: d}))
	require.Len(t, w.do(CancelDeployment{Deployment: d, Kill: true}), 1)
	w.parts[PartStream(d, "web-01")].Killed = true
	require.Empty(t, w.do(CancelDeployment{Deployment: d, Kill: true, Machine: "web-01"}))
	require.Len(t, w.do(CancelDeployment{Deployment: d, Kill: true}), 1, "web-02 was not asked")
	w.parts[PartStream(d, "web-02")].Killed = true
	require.Empty(t, w.do(CancelDeployment{Deployment: d, Kill: true}))
}

func TestKillOfSomethingThatDoesNotRunIsRefused(t *testing.T) {
	w, d := runningWorld(t)
	kill := func(c CancelDeployment) CancelDeployment { c.Kill = true; return c }
	w.rejects(kill(CancelDeployment{Deployment: d, Machine: "web-04"}), Conflict, "has ended: succeeded")
	w.rejects(kill(CancelDeployment{Deployment: d, Machine: "web-03"}), Conflict,
		"nothing runs on machine web-03 for deployment "+d.String()+": its part is queued")
	w.rejects(kill(CancelDeployment{Deployment: d, Machine: "web-05"}), NotFound, "has no part")
	w.rejects(kill(CancelDeployment{Deployment: d, Reason: strings.Repeat("x", MaxReasonBytes+1)}), Invalid, "reason")
	w.rejects(kill(CancelDeployment{Deployment: number(9)}), NotFound, "does not exist")
	w.deployments[d] = &DeploymentFacts{Project: "shop", Ended: true, Cancelled: true, State: DeploymentCancelledState}
	w.rejects(kill(CancelDeployment{Deployment: d}), Conflict, "nothing to kill")
}

func TestAgentCannotClaimThatAPersonKilledItsPart(t *testing.T) {
	w, d := runningWorld(t)
	p := w.parts[PartStream(d, "web-01")]
	p.Claimed = true
	end := EndPart{Deployment: d, Machine: "web-01", State: PartFailed, Reason: KilledByPerson}
	reason := func() PartReason { return w.do(end)[0].(PartEnded).Reason }
	require.Equal(t, OtherAgentFailure, reason())
	p.Killed = true
	require.Equal(t, KilledByPerson, reason())
}
