package cli

import (
	"context"
	"slices"
	"strings"

	"github.com/droverhq/drover/api/client"
	"github.com/droverhq/drover/domain"
	"github.com/droverhq/drover/explain"
)

// nextSteps names the commands that help after failures of an ended deployment. It asks the server which of them it would
// accept, and leaves out the others.
func (a *app) nextSteps(ctx context.Context, d explain.Deployment) string {
	var steps []string
	add := func(command, does string) { steps = append(steps, "`drover "+command+"` "+does) }
	groups := explain.GroupFailures(d.Machines)
	if i := slices.IndexFunc(d.Machines, hasOutput(groups)); i >= 0 {
		add("logs "+d.ID+pick(len(d.Machines) > 1, " "+d.Machines[i].Name, ""), "shows the output of its steps")
	}
	if i := slices.IndexFunc(d.Machines, becameUnhealthy); i >= 0 {
		add("why "+d.Machines[i].Name, "explains its health")
	}
	if len(groups) > 0 {
		if _, accepted := a.wouldAccept(ctx, client.Path("deployments", d.ID, "retry"), map[string]bool{"failed": true}); accepted {
			add("retry "+d.ID+" --failed", "retries the failed machines")
		}
	}
	if d.State == "failed" && d.Kind == string(domain.EnvironmentWide) {
		if _, accepted := a.wouldAccept(ctx, client.Path("deployments", d.ID, "accept"), struct{}{}); accepted {
			add("accept "+d.ID, "makes release "+d.Release+" the wanted one nevertheless")
		}
		body := rollbackRequest{Project: d.Project, Environment: d.Environment}
		if effects, accepted := a.wouldAccept(ctx, client.Path("rollback"), body); accepted {
			add("rollback "+d.Project+" --to "+d.Environment, "deploys "+releaseOf(effects))
		}
	}
	return domain.Enumerate(steps, "and")
}

// hasOutput returns a function that reports whether the first machine of a group of failures has started the deployment.
func hasOutput(groups []explain.FailureGroup) func(explain.DeploymentMachine) bool {
	return func(m explain.DeploymentMachine) bool {
		return m.StartedAt != nil && slices.ContainsFunc(groups,
			func(g explain.FailureGroup) bool { return g.Machines[0] == m.Name })
	}
}

// becameUnhealthy reports whether the verification of a part failed because of the health of its machine.
func becameUnhealthy(m explain.DeploymentMachine) bool {
	return m.Reason == string(domain.MachineIsUnhealthy)
}

// releaseOf names the release that a rollback deploys.
func releaseOf(effects explain.Effects) string {
	for _, e := range effects.Due {
		if e.When == explain.EffectNow {
			return "release " + e.To
		}
	}
	return "the previous release"
}

// wouldAccept reports whether a server would accept a write now, and what the write would make due. It is false if the
// server has no preview of the write.
func (a *app) wouldAccept(ctx context.Context, path string, body any) (effects explain.Effects, accepted bool) {
	ctx, cancel := context.WithTimeout(ctx, previewTimeout)
	defer cancel()
	err := a.post(ctx, "/preview"+path, body, &effects)
	return effects, err == nil
}

// whoDeployed returns ", by bob" for the deployment of a person; empty if that is not known.
func (a *app) whoDeployed(ctx context.Context, deployment string) string {
	ctx, cancel := context.WithTimeout(ctx, previewTimeout)
	defer cancel()
	var d explain.Deployment
	if err := a.read(ctx, client.Path("deployments", deployment), nil, &d); err != nil || strings.TrimSpace(d.Cause.By) == "" {
		return ""
	}
	return ", by " + d.Cause.By
}
