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

func demoVerb(a *app) *cobra.Command {
	c := demo.Config{}
	cmd := verb{
		exits: localExits(exits{exitOK: "every check of the demo passed",
			exitError: "a check failed, or the demo fleet could not be started"}),
		use: "demo", short: "Run a guided demo on a temporary fleet",
		long: "Run a guided demo: start a server, agents and an example project as real processes on this\n" +
			"computer, print each step and check its result. Afterwards the fleet keeps running for you to\n" +
			"explore, until Ctrl-C.\n\n" +
			"The demo needs neither root access nor a network other than loopback. Its files are in a\n" +
			"temporary folder below TMPDIR, which is removed at the end. Your contexts, config file and\n" +
			"servers stay unchanged.",
		example: "drover demo\n" +
			"drover demo --once\n" +
			"drover demo --tick 15s --keep",
	}.command()
	// The demo does not use the user's config file, so an invalid file must not stop it.
	cmd.PersistentPreRunE = func(*cobra.Command, []string) error {
		a.output = cmp.Or(a.output, formatTable)
		return nil
	}
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if err := a.rejectFlags(cmd, "server", "token", "ca", "config", "output", "accept-server"); err != nil {
			return err
		}
		if c.Tick != 0 && (c.Tick < time.Second || c.Tick%time.Second != 0) {
			return usage("invalid --tick %s: use whole seconds, at least 1s", c.Tick)
		}
		c.Out = a.Out
		return a.demoFailure(demo.Run(cmd.Context(), c))
	}
	cmd.Flags().BoolVar(&c.Once, "once", false, "exit after the last step, with code 0 if every check passed")
	cmd.Flags().BoolVar(&c.Keep, "keep", false, "keep the folder with pages and logs at the end")
	cmd.Flags().DurationVar(&c.Tick, "tick", 0,
		"decide every `DURATION`, in whole seconds; default: "+
			demo.DefaultTick.String()+", with --once "+demo.QuickTick.String())
	return cmd
}

// demoFailure converts the error of a demo into a failure.
func (a *app) demoFailure(err error) error {
	var unexpected *demo.Unexpected
	switch {
	case err == nil || errors.Is(err, context.Canceled):
		return err
	case !errors.As(err, &unexpected):
		return invalid("%v", err)
	}
	f := &failure{code: exitError, kind: client.Internal, text: err.Error(), hint: "the logs are in " +
		unexpected.Folder}
	if unexpected.Folder == "" {
		a.info("%s", unexpected.Logs)
		f.hint = "the ends of the logs are above; `drover demo --keep` keeps the whole logs"
	}
	return f
}
