package cli

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/droverhq/drover/api/client"
)

func pinVerb(s *shell) *cobra.Command {
	var environment string
	l := &lasting{}
	cmd := verb{
		exits: writes(exits{exitMissing: "project, release or environment does not exist"}),
		use:   "pin PROJECT VERSION --in ENV", short: "Pin a release for an environment",
		long:    "Pin a release for an environment: it is what is wanted there, and no other release can be deployed\nuntil the pin is lifted or has expired.",
		example: `drover pin shop 1.4.2 --in production --for 48h --reason "sale weekend"`,
		run: func(ctx context.Context, args []string) error {
			return s.last(ctx, l, client.Path("pins"), map[string]any{"project": args[0], "release": args[1], "environment": environment},
				"release "+args[1]+" of "+args[0]+" is pinned in "+environment)
		},
	}.command()
	cmd.Flags().StringVar(&environment, "in", "", "the `ENVIRONMENT`")
	l.flags(cmd)
	return cmd
}

func unpinVerb(s *shell) *cobra.Command {
	var environment string
	cmd := verb{
		exits: writes(exits{exitMissing: "project or environment does not exist, or nothing is pinned there"}),
		use:   "unpin PROJECT --in ENV", short: "Lift a pin",
		long: "Lift a pin. What the environment's own last success put there is wanted again.", example: "drover unpin shop --in production",
		run: func(ctx context.Context, args []string) error {
			written, err := s.remove(ctx, client.Path("pins", args[0], environment))
			if err != nil {
				return err
			}
			return s.wrote(written, "the pin of "+args[0]+" in "+environment+" is lifted")
		},
	}.command()
	cmd.Flags().StringVar(&environment, "in", "", "the `ENVIRONMENT`")
	return cmd
}

func holdVerb(s *shell) *cobra.Command {
	var project string
	l := &lasting{}
	cmd := verb{
		exits: writes(exits{exitMissing: "project or machine does not exist"}),
		use:   "hold MACHINE --project P", short: "Keep a machine as it is",
		long:    "Keep a machine as it is: no automation and no deployment to the whole environment changes this project\nthere until the hold is lifted or has expired.",
		example: `drover hold web-01 --project shop --for 2h --reason "looking at a leak"`,
		run: func(ctx context.Context, args []string) error {
			return s.last(ctx, l, client.Path("holds"), map[string]any{"project": project, "machine": args[0]},
				"machine "+args[0]+" is held for "+project)
		},
	}.command()
	cmd.Flags().StringVar(&project, "project", "", "the `PROJECT`")
	l.flags(cmd)
	return cmd
}

func unholdVerb(s *shell) *cobra.Command {
	var project string
	cmd := verb{
		exits: writes(exits{exitMissing: "project or machine does not exist, or the machine is not held"}),
		use:   "unhold MACHINE --project P", short: "Lift a hold",
		long: "Lift a hold. The machine gets what is wanted at the next tick.", example: "drover unhold web-01 --project shop",
		run: func(ctx context.Context, args []string) error {
			written, err := s.remove(ctx, client.Path("holds", project, args[0]))
			if err != nil {
				return err
			}
			return s.wrote(written, "the hold of "+project+" on "+args[0]+" is lifted")
		},
	}.command()
	cmd.Flags().StringVar(&project, "project", "", "the `PROJECT`")
	return cmd
}

// last sends a wish that holds for some time.
func (s *shell) last(ctx context.Context, l *lasting, path string, pairs map[string]any, sentence string) error {
	body, err := l.body(pairs)
	if err != nil {
		return err
	}
	written, err := s.command(ctx, path, body)
	if err != nil {
		return err
	}
	return s.wrote(written, sentence)
}
