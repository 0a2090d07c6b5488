package cli

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/droverhq/drover/api/client"
	"github.com/droverhq/drover/domain"
)

// rollbackRequest is the body of POST /rollback. An older server refuses fields that it does not know.
type rollbackRequest struct {
	Project     string `json:"project"`
	Environment string `json:"environment"`
	Release     string `json:"release,omitempty"`
	// MaxParallel is nil if its flag is not given.
	MaxParallel *domain.Amount `json:"maxParallel,omitempty"`
	Reason      string         `json:"reason,omitempty"`
}

func rollbackVerb(a *app) *cobra.Command {
	var body rollbackRequest
	var parallel amountFlag
	w, yes := &waiter{app: a}, &consent{app: a}
	cmd := verb{
		exits: waitExits(exits{exitMissing: "the project, environment or release does not exist",
			exitConflict: "there is no previous release, or another release is pinned"}),
		use: "rollback PROJECT --to ENV", short: "Deploy the previous release to an environment",
		long: "Deploy the previous release to an environment. If a deployment of another release is running\n" +
			"there or has failed, the previous release is the wanted release. Otherwise it is the last\n" +
			"different release before the wanted one. Print the id of the deployment.\n\n" +
			"With --to-release, deploy this release instead. Usually it is one that succeeded in the environment\n" +
			"before, but any release of the project is accepted." + consentHelp,
		example: "drover rollback shop --to production --wait\n" +
			`drover rollback shop --to production --to-release 1.4.1 --reason "the cache leaks" --max-parallel 50`,
	}.command()
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		body.Project, body.MaxParallel = args[0], parallel.given
		if err := w.check(); err != nil {
			return err
		}
		if err := yes.before(cmd.Context(), client.Path("rollback"), body); err != nil {
			return err
		}
		return a.deploy(cmd.Context(), w, client.Path("rollback"), body, args[0]+" is being rolled back in "+
			body.Environment)
	}
	environmentFlag(cmd, &body.Environment, "to", "`ENVIRONMENT` to roll back")
	cmd.Flags().StringVar(&body.Release, "to-release", "", "deploy this `VERSION`; default: the previous release")
	cmd.Flags().Var(&parallel, "max-parallel",
		"maximum `NUMBER` or percentage of machines at once, such as 5 or 25%; 0: no limit; default: the setting of the project")
	cmd.Flags().StringVar(&body.Reason, "reason", "", "record this `TEXT` in the event log as the reason")
	yes.flag(cmd)
	w.flags(cmd)
	return cmd
}

func acceptVerb(a *app) *cobra.Command {
	var body struct {
		Reason string `json:"reason,omitempty"`
	}
	yes := &consent{app: a}
	cmd := verb{
		exits: writeExits(exits{exitMissing: "the deployment does not exist",
			exitConflict: "the deployment has not ended, has succeeded, or cannot set the wanted release"}),
		use: "accept DEPLOYMENT", short: "Accept a failed or cancelled deployment, so that its release is wanted",
		long: "Make the release of a deployment that failed or was cancelled the wanted one, as if the deployment\n" +
			"had succeeded with failures. At least one machine must have succeeded. The holds of this deployment\n" +
			"and of earlier ones end, except on machines that it excluded. Triggers that cover all of\n" +
			"MachineAvailable then bring the release to the other machines.\n\n" +
			"Only an environment-wide deployment can be accepted. The command is refused while another one is\n" +
			"open, or if a later one has succeeded." + consentHelp,
		example: "drover accept 0b6c9bde-5c53-5d35-9f1c-3f0e5a1b7a10 --reason \"the 3 old kernels are replaced today\"",
		run: func(ctx context.Context, args []string) error {
			deployment, err := a.deployment(ctx, args[0])
			if err != nil {
				return err
			}
			return a.postPrinting(ctx, yes, client.Path("deployments", deployment, "accept"), body,
				"deployment "+deployment+" is accepted: its release is the wanted one")
		},
	}.command()
	cmd.Flags().StringVar(&body.Reason, "reason", "", "record this `TEXT` in the event log as the reason")
	yes.flag(cmd)
	return cmd
}

// retryFlags are the flags of retry.
type retryFlags struct {
	project         string
	failed, skipped bool
}

func retryVerb(a *app) *cobra.Command {
	var r retryFlags
	w := &waiter{app: a}
	cmd := verb{
		exits: waitExits(exits{exitMissing: "the project, machine or deployment does not exist",
			exitConflict: "there is nothing to retry, the deployment has not ended, or another release is pinned"}),
		use: "retry MACHINE|DEPLOYMENT", short: "Retry one machine, or the failed machines of a deployment",
		long: "With --project, deploy a release again to one machine: the release of the last attempt if that did\n" +
			"not succeed, otherwise the wanted release.\n\n" +
			"With --failed or --skipped, repair an ended deployment: deploy its release again to the machines on\n" +
			"which it failed or was lost, or on which it did not start. Machines that have the release by now,\n" +
			"that a person holds, or on which another release was deployed since are left alone.\n\n" +
			"A repair continues the deployment. It does not change what is wanted and leaves no holds itself.\n" +
			"Where the release is the wanted one, it ends the holds of earlier deployments. Where it is not, the\n" +
			"machine is held at the release, like the machines on which the deployment itself succeeded.\n\n" +
			"Print the id of the new deployment.",
		example: "drover retry web-01 --project shop --wait\n" +
			"drover retry 0b6c9bde-5c53-5d35-9f1c-3f0e5a1b7a10 --failed --wait",
		run: func(ctx context.Context, args []string) error { return a.retry(ctx, w, r, args[0]) },
	}.command()
	cmd.Flags().StringVarP(&r.project, "project", "p", "", "`PROJECT` to deploy to the machine")
	cmd.Flags().BoolVar(&r.failed, "failed", false, "retry the machines on which the deployment failed or was lost")
	cmd.Flags().BoolVar(&r.skipped, "skipped", false, "retry the machines on which the deployment did not start")
	cmd.MarkFlagsMutuallyExclusive("project", "failed")
	cmd.MarkFlagsMutuallyExclusive("project", "skipped")
	w.flags(cmd)
	return cmd
}

// retry retries a machine, or the parts of a deployment.
func (a *app) retry(ctx context.Context, w *waiter, r retryFlags, name string) error {
	switch {
	case r.failed || r.skipped:
		body := map[string]bool{"failed": r.failed, "skipped": r.skipped}
		deployment, err := a.deployment(ctx, name)
		if err != nil {
			return err
		}
		return a.deploy(ctx, w, client.Path("deployments", deployment, "retry"), body,
			"deployment "+deployment+" is being retried")
	case r.project == "":
		return usage("`drover retry` requires --project P for a machine, and --failed or --skipped for a deployment; " +
			"see `drover retry --help`")
	}
	body := map[string]string{"project": r.project, "machine": name}
	return a.deploy(ctx, w, client.Path("retry"), body, "the deployment of "+r.project+" is being retried on "+name)
}
