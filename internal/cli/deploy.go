package cli

import (
	"context"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/droverhq/drover/api/client"
	"github.com/droverhq/drover/domain"
)

// deploymentRequest is the body of POST /deployments.
type deploymentRequest struct {
	Project     string   `json:"project"`
	Release     string   `json:"release"`
	Environment string   `json:"environment"`
	Machines    []string `json:"machines"`
	Exclude     []string `json:"exclude"`
	Roles       []string `json:"roles,omitempty"`
	OnlyBehind  bool     `json:"onlyBehind,omitempty"`
	HealthyFor  string   `json:"healthyFor,omitempty"`
	// MaxParallel and StopAfter are nil if their flags are not given.
	MaxParallel *domain.Amount `json:"maxParallel"`
	StopAfter   *int           `json:"stopAfterFailures"`
	MaxFailures *domain.Amount `json:"maxFailures,omitempty"`
	Waves       domain.Waves   `json:"waves,omitempty"`
	WavePause   string         `json:"wavePause,omitempty"`
	Reason      string         `json:"reason,omitempty"`
}

func deployVerb(a *app) *cobra.Command {
	d := deploymentRequest{Machines: []string{}, Exclude: []string{}}
	var parallel, failures amountFlag
	var stopAfter int
	var healthyFor, pause time.Duration
	var waves wavesFlag
	var yes bool
	w := &waiter{app: a}
	cmd := verb{
		exits: waitExits(exits{exitMissing: "the project, release, environment or a machine does not exist",
			exitConflict: "another release is pinned there, or a named machine is not in the project's scope"}),
		use: "deploy PROJECT VERSION --to ENV", short: "Deploy a release to an environment",
		long: "Deploy a release to all machines of an environment that are in the project's scope, whether or\n" +
			"not they are up to date. When the deployment succeeds, the release becomes the wanted release of\n" +
			"the environment. Print the id of the deployment.\n\n" +
			"With --only-behind, leave out the machines that have the release already. With --machine or --role,\n" +
			"deploy only to these machines, or to the machines with one of these roles, and hold them at the\n" +
			"release unless it is the wanted one.\n\n" +
			"With --waves, begin with a few machines. The next wave starts when all machines of the one before it\n" +
			"have finished and stayed healthy for --healthy-for, and --pause has passed. It does not start if more\n" +
			"machines failed than --max-failures allows, if all failed, or, without that limit, if any failed.\n\n" +
			"If none of the machines can take a release now, the command warns before it writes anything. On\n" +
			"a terminal, it also asks for confirmation unless --yes is given. Any answer other than y or yes\n" +
			"deploys nothing and ends with exit code 1.",
		example: "drover deploy shop 1.4.3 --to production --wait --timeout 20m\n" +
			"drover deploy shop 1.4.3 --to production --machine web-01\n" +
			"drover deploy shop 1.4.3 --to production --role edge\n" +
			"drover deploy shop 1.4.3 --to production --only-behind\n" +
			"drover deploy shop 1.4.3 --to production --exclude web-09 --max-parallel 5\n" +
			"drover deploy shop 1.4.3 --to production --waves 1,10%,50% --pause 5m --max-failures 1%",
	}
	c := cmd.command()
	c.RunE = func(c *cobra.Command, args []string) error {
		d.Project, d.Release = args[0], args[1]
		d.MaxParallel, d.MaxFailures, d.Waves = parallel.given, failures.given, domain.Waves(waves)
		if c.Flags().Changed("pause") {
			d.WavePause = pause.String()
		}
		if c.Flags().Changed("stop-after-failures") {
			d.StopAfter = &stopAfter
		}
		if c.Flags().Changed("healthy-for") {
			d.HealthyFor = healthyFor.String()
		}
		if stopAfter < 0 {
			return usage("invalid --stop-after-failures %d: use 1 or more, or 0 for never", stopAfter)
		}
		if err := w.check(); err != nil {
			return err
		}
		if err := w.confirm(c.Context(), d, yes); err != nil {
			return err
		}
		return a.deploy(c.Context(), w, client.Path("deployments"), d,
			"release "+args[1]+" of "+args[0]+" is being deployed to "+d.Environment)
	}
	flags := c.Flags()
	environmentFlag(c, &d.Environment, "to", "`ENVIRONMENT` to deploy to")
	flags.StringSliceVarP(&d.Machines, "machine", "m", nil, "deploy only to this `MACHINE`; repeatable")
	flags.StringSliceVar(&d.Roles, "role", nil, "deploy only to the machines with this `ROLE`; repeatable")
	flags.BoolVar(&d.OnlyBehind, "only-behind", false, "leave out the machines that have the release already")
	flags.StringSliceVar(&d.Exclude, "exclude", nil, "leave out this `MACHINE`; repeatable")
	flags.Var(&parallel, "max-parallel",
		"maximum `NUMBER` or percentage of machines at once, such as 5 or 25%; 0: no limit; default: the setting of the project")
	flags.IntVar(&stopAfter, "stop-after-failures", 0,
		"cancel the remaining machines after `N` failures; 0: never; default: the setting of the project")
	flags.Var(&failures, "max-failures",
		"`NUMBER` or percentage of machines that may fail, such as 16 or 1%; with more failures, the deployment "+
			"stops and fails; default: the setting of the project")
	flags.DurationVar(&healthyFor, "healthy-for", 0,
		"`DURATION` that each machine must stay healthy after its success; 0s: no verification; default: the setting of the project")
	flags.Var(&waves, "waves", "`SIZES` of the waves, such as 1,10%,50%; each includes the machines of the waves before it, and "+
		"a last wave covers all machines")
	flags.DurationVar(&pause, "pause", 0, "`DURATION` between two waves")
	flags.StringVar(&d.Reason, "reason", "", "record this `TEXT` in the event log as the reason")
	flags.BoolVar(&yes, "yes", false, "deploy without confirmation, even if no machine can take the release now")
	w.flags(c)
	excludeEachOther(c, "role machine", "role exclude", "only-behind machine", "only-behind role")
	return c
}

// excludeEachOther marks pairs of flags of which only one can be given.
func excludeEachOther(cmd *cobra.Command, pairs ...string) {
	for _, pair := range pairs {
		cmd.MarkFlagsMutuallyExclusive(strings.Fields(pair)...)
	}
}

// deploy sends a request that queues a deployment, prints the id of the deployment and waits for its end with --wait.
func (a *app) deploy(ctx context.Context, w *waiter, path string, body any, sentence string) error {
	if err := w.check(); err != nil {
		return err
	}
	written, err := a.command(ctx, path, body)
	if err != nil {
		return err
	}
	switch {
	case a.structured() && !w.wait:
		return a.value(written)
	case written.Deployment == "":
		return a.wrote(written, sentence)
	case !a.structured():
		a.info("%s (#%s)", sentence, written.Position)
		name := written.Deployment
		if a.output == formatName {
			name = "deployment/" + name
		}
		if err := a.print(name + "\n"); err != nil {
			return err
		}
	}
	if !w.wait {
		return nil
	}
	return w.until(ctx, written)
}

// lifetimeFlags holds the flags --for and --reason of pins and holds.
type lifetimeFlags struct {
	until  lifetime
	reason string
}

func (l *lifetimeFlags) flags(cmd *cobra.Command) {
	cmd.Flags().Var(&l.until, "for", "end after this `DURATION`, such as 48h or 30d; default: never")
	cmd.Flags().StringVar(&l.reason, "reason", "", "record this `TEXT` in the event log as the reason")
}

// body adds the end and the reason to the body of a request.
func (l *lifetimeFlags) body(pairs map[string]any) (map[string]any, error) {
	until, err := deadline(time.Duration(l.until))
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

// untilText names the end in the body of a request; empty if it has none.
func untilText(body map[string]any) string {
	if until, ok := body["until"].(*time.Time); ok && until != nil {
		return " until " + until.Format(time.RFC3339)
	}
	return ""
}
