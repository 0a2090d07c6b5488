package cli

import (
	"cmp"
	"context"
	"errors"
	"time"

	"github.com/spf13/cobra"

	"github.com/droverhq/drover/api/client"
	"github.com/droverhq/drover/internal/demo"
)

func demoVerb(s *shell) *cobra.Command {
	c := demo.Config{}
	cmd := verb{
		exits: alone(exits{exitOK: "each line of the story was so", exitError: "a line was not so, or the fleet could not be started"}),
		use:   "demo", short: "Show what drover does, on a fleet of its own",
		long: "Show what drover does: start a server, its agents and an example project as real processes on this computer,\n" +
			"tell what happens line by line, and look whether each line is so. Then the fleet stays up to look around, until Ctrl-C.\n\n" +
			"It needs no network beyond loopback and no root, and has a temporary folder of its own (TMPDIR says where) that is\n" +
			"removed at the end. Contexts, config file and servers of the user are not touched.",
		example: "drover demo\ndrover demo --once\ndrover demo --tick 15s --keep",
	}.command()
	// A demo reads nothing of the user's, so a config file that is wrong does not keep anybody from it.
	cmd.PersistentPreRunE = func(*cobra.Command, []string) error {
		s.output = cmp.Or(s.output, formatTable)
		return nil
	}
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if err := s.foreign(cmd, "server", "token", "ca", "config", "output"); err != nil {
			return err
		}
		if c.Tick != 0 && (c.Tick < time.Second || c.Tick%time.Second != 0) {
			return usage("invalid --tick %s: use whole seconds, at least 1s", c.Tick)
		}
		c.Out = s.Out
		return s.demoFailure(demo.Run(cmd.Context(), c))
	}
	cmd.Flags().BoolVar(&c.Once, "once", false, "end with the story; exit code 0 only if all of it was so")
	cmd.Flags().BoolVar(&c.Keep, "keep", false, "leave the folder with pages and logs at the end")
	cmd.Flags().DurationVar(&c.Tick, "tick", 0, "let the server decide every `DURATION`, in whole seconds; default: "+demo.DefaultTick.String()+", with --once "+demo.QuickTick.String())
	return cmd
}

// demoFailure is how a demo ended, in one sentence with a hint.
func (s *shell) demoFailure(err error) error {
	var unexpected *demo.Unexpected
	switch {
	case err == nil || errors.Is(err, context.Canceled):
		return err
	case !errors.As(err, &unexpected):
		return invalid("%v", err)
	}
	f := &failure{code: exitError, kind: client.Internal, text: err.Error(), hint: "the logs are in " + unexpected.Folder}
	if unexpected.Folder == "" {
		s.say("%s", unexpected.Logs)
		f.hint = "above is how the logs end; `drover demo --keep` leaves all of them"
	}
	return f
}
