package cli

import (
	"context"
	"net/url"

	"github.com/spf13/cobra"

	"github.com/droverhq/drover/api/client"
)

func pinVerb(a *app) *cobra.Command {
	var environment string
	l := &lifetimeFlags{}
	cmd := verb{
		exits: writeExits(exits{exitMissing: "the project, release or environment does not exist"}),
		use:   "pin PROJECT VERSION --in ENV", short: "Pin an environment to a release",
		long: "Pin an environment to a release. The release is wanted there, and no other release of the\n" +
			"project can be deployed until the pin is lifted or expires.\n\n" +
			"Open deployments of other releases in the environment are cancelled. Machines that have started\n" +
			"them finish and are held as they are then; the others do not start.",
		example: `drover pin shop 1.4.2 --in production --for 48h --reason "sale weekend"`,
		run: func(ctx context.Context, args []string) error {
			return a.postWithLifetime(ctx, l, client.Path("pins"),
				map[string]any{"project": args[0], "release": args[1], "environment": environment},
				"project "+args[0]+" is pinned to "+args[1]+" in "+environment)
		},
	}.command()
	cmd.Flags().StringVar(&environment, "in", "", "`ENVIRONMENT` to pin")
	l.flags(cmd)
	return cmd
}

func unpinVerb(a *app) *cobra.Command {
	var environment string
	cmd := verb{
		exits: writeExits(exits{exitMissing: "the project or environment does not exist, or there is no pin"}),
		use:   "unpin PROJECT --in ENV", short: "Lift a pin",
		long: "Lift the pin of a project in an environment. The release of the last successful deployment to\n" +
			"the environment is wanted again.",
		example: "drover unpin shop --in production",
		run: func(ctx context.Context, args []string) error {
			written, err := a.remove(ctx, client.Path("pins", args[0], environment))
			if err != nil {
				return err
			}
			return a.wrote(written, "the pin of "+args[0]+" in "+environment+" is lifted")
		},
	}.command()
	cmd.Flags().StringVar(&environment, "in", "", "`ENVIRONMENT` of the pin")
	return cmd
}

func holdVerb(a *app) *cobra.Command {
	var project string
	l := &lifetimeFlags{}
	cmd := verb{
		exits: writeExits(exits{exitMissing: "the project or machine does not exist"}),
		use:   "hold MACHINE --project P", short: "Keep the current release on a machine",
		long: "Hold a machine: automation and deployments to the whole environment leave the project on this\n" +
			"machine unchanged until the hold is lifted or expires.",
		example: `drover hold web-01 --project shop --for 2h --reason "looking at a leak"`,
		run: func(ctx context.Context, args []string) error {
			return a.postWithLifetime(ctx, l, client.Path("holds"),
				map[string]any{"project": project, "machine": args[0]},
				"machine "+args[0]+" is held for "+project)
		},
	}.command()
	cmd.Flags().StringVar(&project, "project", "", "`PROJECT` to hold on the machine")
	l.flags(cmd)
	return cmd
}

func unholdVerb(a *app) *cobra.Command {
	var project, kind string
	cmd := verb{
		exits: writeExits(exits{exitMissing: "the project or machine does not exist, or there is no such hold"}),
		use:   "unhold MACHINE --project P", short: "Lift holds",
		long: "Lift all holds of a project on a machine, or with --kind one of them. If another release is wanted,\n" +
			"automation can deploy it from the next tick on. `drover why MACHINE` shows the holds.",
		example: "drover unhold web-01 --project shop\ndrover unhold web-01 --project shop --kind manual",
		run: func(ctx context.Context, args []string) error {
			path, what := client.Path("holds", project, args[0]), "the hold of "
			if kind != "" {
				path, what = path+"?kind="+url.QueryEscape(kind), "the "+kind+" hold of "
			}
			written, err := a.remove(ctx, path)
			if err != nil {
				return err
			}
			return a.wrote(written, what+project+" on "+args[0]+" is lifted")
		},
	}.command()
	cmd.Flags().StringVar(&project, "project", "", "`PROJECT` of the hold")
	cmd.Flags().StringVar(&kind, "kind", "", "lift only the hold of this `KIND`: manual, unproven, narrowed,\n"+
		"failed-rollout, excluded or cancelled")
	return cmd
}

// postWithLifetime sends a request that sets a pin or a hold.
func (a *app) postWithLifetime(ctx context.Context, l *lifetimeFlags, path string, pairs map[string]any,
	sentence string) error {
	body, err := l.body(pairs)
	if err != nil {
		return err
	}
	written, err := a.command(ctx, path, body)
	if err != nil {
		return err
	}
	return a.wrote(written, sentence)
}
