package cli

import (
	"context"
	"time"

	"github.com/spf13/cobra"

	"github.com/droverhq/drover/api/client"
)

func releaseVerb(s *shell) *cobra.Command {
	create := verb{
		exits: writes(exits{exitMissing: "there is no such project", exitConflict: "the version exists with other steps or variables, or the project has no steps"}),
		use:   "create PROJECT VERSION", short: "Create a release",
		long:    "Create a release: an immutable copy of the project's steps and variables as they are now.\n\nThe same again is ok; a version that exists with other steps is a conflict.",
		example: "drover release create shop 1.4.3",
		run: func(ctx context.Context, args []string) error {
			written, err := s.command(ctx, client.Path("projects", args[0], "releases"), map[string]string{"version": args[1]})
			if err != nil {
				return err
			}
			return s.wrote(written, "release "+args[1]+" of "+args[0]+" is created")
		},
	}.command()
	return parent("release", "Create releases", create)
}

// deployment is the body of POST /deployments.
type deployment struct {
	Project     string   `json:"project"`
	Release     string   `json:"release"`
	Environment string   `json:"environment"`
	Machines    []string `json:"machines"`
	Exclude     []string `json:"exclude"`
	MaxParallel *int     `json:"maxParallel"`
	StopAfter   *int     `json:"stopAfterFailures"`
	Reason      string   `json:"reason,omitempty"`
}

func deployVerb(s *shell) *cobra.Command {
	d := deployment{Machines: []string{}, Exclude: []string{}}
	var parallel, stopAfter int
	var yes bool
	w := &waiting{shell: s}
	cmd := verb{
		exits: waits(exits{exitMissing: "project, release, environment or machine does not exist",
			exitConflict: "another release is pinned there, or a named machine is not in the project's scope"}),
		use: "deploy PROJECT VERSION --to ENV", short: "Deploy a release to an environment",
		long: "Deploy a release to an environment: to all of its machines in the project's scope, whether or\nnot they are up to date. " +
			"Its success makes the release the one that is wanted there.\n\nWith --machine only these get it, and keep it (a hold). Prints the deployment's id.\n\n" +
			"Where none of the machines is online you are told so before anything is written. On a terminal you are also\nasked, unless --yes is given; without an answer of y nothing is deployed, and the exit code is 1.",
		example: "drover deploy shop 1.4.3 --to production --wait --timeout 20m\ndrover deploy shop 1.4.3 --to production --machine web-01\ndrover deploy shop 1.4.3 --to production --exclude web-09 --max-parallel 5",
	}
	c := cmd.command()
	c.RunE = func(c *cobra.Command, args []string) error {
		d.Project, d.Release = args[0], args[1]
		if c.Flags().Changed("max-parallel") {
			d.MaxParallel = &parallel
		}
		if c.Flags().Changed("stop-after-failures") {
			d.StopAfter = &stopAfter
		}
		if err := w.check(); err != nil {
			return err
		}
		if err := s.confirm(c.Context(), d, yes); err != nil {
			return err
		}
		return s.deploy(c.Context(), w, client.Path("deployments"), d, "release "+args[1]+" of "+args[0]+" goes to "+d.Environment)
	}
	flags := c.Flags()
	flags.StringVar(&d.Environment, "to", "", "the `ENVIRONMENT`")
	flags.StringSliceVar(&d.Machines, "machine", nil, "only this `MACHINE`; may be repeated")
	flags.StringSliceVar(&d.Exclude, "exclude", nil, "all but this `MACHINE`, which stays at what it has; may be repeated")
	flags.IntVar(&parallel, "max-parallel", 0, "at most `N` machines at once; 0: no bound; default: the project's")
	flags.IntVar(&stopAfter, "stop-after-failures", 0, "cancel the rest after `N` failed machines; 0: never; default: the project's")
	flags.StringVar(&d.Reason, "reason", "", "why, in a `TEXT` that stays in the log")
	flags.BoolVar(&yes, "yes", false, "do not ask, even if none of the machines is online")
	w.flags(c)
	return c
}

// deploy sends a wish that queues a deployment, prints the deployment's id, and waits if asked to.
func (s *shell) deploy(ctx context.Context, w *waiting, path string, body any, sentence string) error {
	if err := w.check(); err != nil {
		return err
	}
	written, err := s.command(ctx, path, body)
	if err != nil {
		return err
	}
	switch {
	case s.structured() && !w.wait:
		return s.value(written)
	case written.Deployment == "":
		return s.wrote(written, sentence)
	case !s.structured():
		s.say("%s (#%s)", sentence, written.Position)
		name := written.Deployment
		if s.output == formatName {
			name = "deployment/" + name
		}
		if err := s.print(name + "\n"); err != nil {
			return err
		}
	}
	if !w.wait {
		return nil
	}
	return w.until(ctx, written)
}

func rollbackVerb(s *shell) *cobra.Command {
	var environment string
	w := &waiting{shell: s}
	cmd := verb{
		exits: waits(exits{exitMissing: "project or environment does not exist", exitConflict: "there is no release to go back to, or another one is pinned"}),
		use:   "rollback PROJECT --to ENV", short: "Deploy the release that was there before",
		long: "Deploy the release that was there before: the environment's own, if a deployment of another one is open\nthere or has failed; " +
			"else the last different one. Prints the deployment's id.",
		example: "drover rollback shop --to production --wait",
		run: func(ctx context.Context, args []string) error {
			body := map[string]string{"project": args[0], "environment": environment}
			return s.deploy(ctx, w, client.Path("rollback"), body, args[0]+" is rolled back in "+environment)
		},
	}.command()
	cmd.Flags().StringVar(&environment, "to", "", "the `ENVIRONMENT`")
	w.flags(cmd)
	return cmd
}

func retryVerb(s *shell) *cobra.Command {
	var project string
	w := &waiting{shell: s}
	cmd := verb{
		exits: waits(exits{exitMissing: "project or machine does not exist", exitConflict: "there is nothing to try, or another release is pinned"}),
		use:   "retry MACHINE --project P", short: "Try again on one machine",
		long:    "Try again on one machine: the release that the last attempt there did not finish, else the wanted one.\nPrints the deployment's id.",
		example: "drover retry web-01 --project shop --wait",
		run: func(ctx context.Context, args []string) error {
			body := map[string]string{"project": project, "machine": args[0]}
			return s.deploy(ctx, w, client.Path("retry"), body, project+" is tried again on "+args[0])
		},
	}.command()
	cmd.Flags().StringVar(&project, "project", "", "the `PROJECT`")
	w.flags(cmd)
	return cmd
}

func cancelVerb(s *shell) *cobra.Command {
	return verb{
		exits: writes(exits{exitMissing: "there is no such deployment", exitConflict: "it has succeeded or failed already"}),
		use:   "cancel DEPLOYMENT", short: "Cancel a deployment",
		long:    "Cancel a deployment: machines that have started finish, all others do not start.",
		example: "drover cancel 0b6c9bde-5c53-5d35-9f1c-3f0e5a1b7a10",
		run: func(ctx context.Context, args []string) error {
			written, err := s.command(ctx, client.Path("deployments", id(args[0]), "cancel"), nil)
			if err != nil {
				return err
			}
			return s.wrote(written, "deployment "+args[0]+" is cancelled")
		},
	}.command()
}

// lasting is what pins and holds share: how long, and why.
type lasting struct {
	until  time.Duration
	reason string
}

func (l *lasting) flags(cmd *cobra.Command) {
	cmd.Flags().DurationVar(&l.until, "for", 0, "end after this `DURATION`; default: until it is lifted")
	cmd.Flags().StringVar(&l.reason, "reason", "", "why, in a `TEXT` that stays in the log")
}

// body adds to a body until when and why.
func (l *lasting) body(pairs map[string]any) (map[string]any, error) {
	until, err := deadline(l.until)
	if err != nil {
		return nil, err
	}
	if until != nil {
		pairs["until"] = until
	}
	if l.reason != "" {
		pairs["reason"] = l.reason
	}
	return pairs, nil
}
