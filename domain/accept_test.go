package domain

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// wideAs records an environment-wide deployment to production, and its end unless the state is queued.
func (w *testWorld) wideAs(release string, state DeploymentState) ID {
	id := w.record(ProjectStream("shop"), DeploymentQueued{Kind: EnvironmentWide, Environment: "production", Release: release})
	if state != DeploymentQueuedState {
		w.record(ProjectStream("shop"), DeploymentEnded{Deployment: id, State: state})
	}
	return id
}

// acceptable records a failed deployment of release 2 to production, which wants release 1. It succeeded on one machine.
func acceptable(t *testing.T, change func(*DeploymentFacts)) (*testWorld, AcceptDeployment) {
	w := shopWorld(t)
	w.wide("production", "1")
	id := w.wideAs("2", DeploymentFailed)
	facts := &DeploymentFacts{Project: "shop", Environment: "production", Ended: true, State: DeploymentFailed, Succeeded: true,
		Queued: &DeploymentQueued{Kind: EnvironmentWide, Environment: "production", Release: "2"}}
	if change != nil {
		change(facts)
	}
	w.deployments[id] = facts
	return w, AcceptDeployment{Deployment: id, Reason: "checked", Origin: By("ann")}
}

func TestAcceptedDeploymentDecidesWhatIsWanted(t *testing.T) {
	w, accept := acceptable(t, nil)
	require.Equal(t, "1", w.Project("shop").ReleaseIn("production"))
	require.Equal(t, []Event{DeploymentAccepted{Deployment: accept.Deployment, Reason: "checked", Origin: By("ann")}},
		w.do(accept))
	require.Equal(t, "2", w.Project("shop").ReleaseIn("production"))
	require.Equal(t, "1", w.Project("shop").RollbackTo("production"))
}

func TestAcceptIsRefused(t *testing.T) {
	later := func(state DeploymentState) func(*testWorld) {
		return func(w *testWorld) { w.wideAs("3", state) }
	}
	for name, c := range map[string]struct {
		change func(*DeploymentFacts)
		world  func(*testWorld)
		text   string
	}{
		"open":      {func(d *DeploymentFacts) { d.Ended = false }, nil, "has not ended"},
		"succeeded": {func(d *DeploymentFacts) { d.State = DeploymentSucceeded }, nil, "succeeded, so there is nothing to accept"},
		"pruned":    {func(d *DeploymentFacts) { d.Queued = nil }, nil, "no longer stored"},
		"narrowed":  {func(d *DeploymentFacts) { d.Queued.Kind = Narrowed }, nil, "covered only some machines of production"},
		"no proof":  {func(d *DeploymentFacts) { d.Succeeded = false }, nil, "no machine of deployment"},
		"later":     {nil, later(DeploymentSucceeded), "sets the wanted release of production"},
		"rolling":   {nil, later(DeploymentQueuedState), "has not ended"},
		"pinned":    {nil, func(w *testWorld) { w.do(SetPin{Project: "shop", Release: "1", Environment: "production"}) }, "is pinned to 1"},
	} {
		t.Run(name, func(t *testing.T) {
			w, accept := acceptable(t, c.change)
			if c.world != nil {
				c.world(w)
			}
			w.rejects(accept, Conflict, c.text)
		})
	}
	w, accept := acceptable(t, nil)
	accept.Deployment = number(98) // of an environment of the same name that was deleted
	w.deployments[accept.Deployment] = &DeploymentFacts{Project: "shop", Environment: "production", Ended: true, Succeeded: true,
		State: DeploymentFailed, Queued: &DeploymentQueued{Kind: EnvironmentWide, Environment: "production", Release: "2"}}
	w.rejects(accept, Conflict, "was deleted and created again")
	w, accept = acceptable(t, func(d *DeploymentFacts) { d.Accepted = true })
	require.Empty(t, w.do(accept), "the same again changes nothing")
	accept.Deployment = number(99)
	w.rejects(accept, NotFound, "does not exist")
}

// Commands are decided while others read the state, so a decision must not change it.
func TestRefusedAcceptChangesNothing(t *testing.T) {
	w, accept := acceptable(t, nil)
	w.do(ApplyEnvironment{Name: "lab"})
	accept.Deployment = number(98)
	w.deployments[accept.Deployment] = &DeploymentFacts{Project: "shop", Environment: "lab", Ended: true, Succeeded: true,
		State: DeploymentFailed, Queued: &DeploymentQueued{Kind: EnvironmentWide, Environment: "lab", Release: "2"}}
	p := w.Project("shop")
	r := accept.check(onlyProject{w, p}, w.deployments[accept.Deployment])
	require.NotNil(t, r)
	require.NotContains(t, p.Environments, "lab")
}

// onlyProject is a world with one state of the project, as a server has it.
type onlyProject struct {
	World
	project *Project
}

// Project returns the state.
func (w onlyProject) Project(string) *Project { return w.project }
