package cli

import (
	"context"
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/droverhq/drover/api/client"
	"github.com/droverhq/drover/domain"
	"github.com/droverhq/drover/explain"
)

func pinVerb(a *app) *cobra.Command {
	var environment string
	l, yes := &lifetimeFlags{}, &consent{app: a}
	cmd := verb{
		exits: writeExits(exits{exitMissing: "the project, release or environment does not exist"}),
		use:   "pin PROJECT VERSION --in ENV", short: "Pin an environment to a release",
		long: "Pin an environment to a release. The release is wanted there, and no other release of the\n" +
			"project can be deployed until the pin is lifted or expires.\n\n" +
			"Open deployments of other releases in the environment are cancelled. Machines that have started\n" +
			"them finish and are then held. The other machines do not start them." + consentHelp,
		example: `drover pin shop 1.4.2 --in production --for 48h --reason "sale weekend"`,
		run: func(ctx context.Context, args []string) error {
			body, err := l.body(map[string]any{"project": args[0], "release": args[1], "environment": environment})
			if err != nil {
				return err
			}
			return a.postPrinting(ctx, yes, client.Path("pins"), body,
				"project "+args[0]+" is pinned to "+args[1]+" in "+environment+untilText(body))
		},
	}.command()
	environmentFlag(cmd, &environment, "in", "`ENVIRONMENT` to pin")
	l.flags(cmd)
	yes.flag(cmd)
	return cmd
}

func unpinVerb(a *app) *cobra.Command {
	var environment string
	yes := &consent{app: a}
	cmd := verb{
		exits: writeExits(exits{exitMissing: "the project or environment does not exist, or there is no pin"}),
		use:   "unpin PROJECT --in ENV", short: "Lift a pin",
		long: "Lift the pin of a project in an environment. The release of the last successful deployment to\n" +
			"the environment is wanted again." + consentHelp,
		example: "drover unpin shop --in production",
		run: func(ctx context.Context, args []string) error {
			path := client.Path("pins", args[0], environment)
			if err := yes.before(ctx, path, nil); err != nil {
				return err
			}
			written, err := a.remove(ctx, path)
			if err != nil {
				return err
			}
			return a.wrote(written, "the pin of "+args[0]+" in "+environment+" is lifted")
		},
	}.command()
	environmentFlag(cmd, &environment, "in", "`ENVIRONMENT` of the pin")
	yes.flag(cmd)
	return cmd
}

func holdVerb(a *app) *cobra.Command {
	var project string
	l := &lifetimeFlags{}
	cmd := verb{
		exits: writeExits(exits{exitMissing: "the project or machine does not exist"}),
		use:   "hold MACHINE", short: "Keep the current release on a machine",
		long: "Hold a machine: automation and deployments to the whole environment leave the project on this\n" +
			"machine unchanged until the hold is lifted or expires.",
		example: `drover hold web-01 --project shop --for 2h --reason "looking at a leak"`,
		run: func(ctx context.Context, args []string) error {
			project, err := a.onlyProject(ctx, project)
			if err != nil {
				return err
			}
			body, err := l.body(map[string]any{"project": project, "machine": args[0]})
			if err != nil {
				return err
			}
			replaced, err := a.holdBefore(ctx, args[0], project)
			if err != nil {
				return err
			}
			written, err := a.command(ctx, client.Path("holds"), body)
			if err != nil {
				return err
			}
			return a.wrote(written, "machine "+args[0]+" is held for "+project+untilText(body)+
				pick(unchanged(written), "", replaced))
		},
	}.command()
	cmd.Flags().StringVarP(&project, "project", "p", "", "`PROJECT` to hold on the machine; default: the only project")
	l.flags(cmd)
	return cmd
}

// onlyProject returns the project that a person named, or the only one that exists.
func (a *app) onlyProject(ctx context.Context, named string) (string, error) {
	if named != "" {
		return strings.TrimPrefix(named, "project/"), nil
	}
	var list explain.List[explain.Project]
	if err := a.read(ctx, client.Path("projects"), url.Values{"limit": {"2"}}, &list); err != nil {
		return "", err
	}
	if len(list.Items) != 1 || list.Next != "" {
		return "", usage("--project is required unless exactly one project exists")
	}
	return list.Items[0].Name, nil
}

// holdBefore describes the hold of a person that another one replaces; empty without one.
func (a *app) holdBefore(ctx context.Context, machine, project string) (string, error) {
	var m explain.Machine
	if err := a.read(ctx, client.Path("machines", machine), nil, &m); err != nil {
		if isAnswer(err) { // the hold is refused for the same reason, or the caller may not read the machine
			return "", nil
		}
		return "", err
	}
	for _, w := range m.Wanted {
		for _, h := range w.Holds {
			if w.Project == project && h.Kind == string(domain.ManualHold) {
				return replacedHold(h), nil
			}
		}
	}
	return "", nil
}

func replacedHold(h explain.Hold) string {
	text := "; it replaces the hold since " + h.Since.UTC().Format(time.RFC3339)
	if h.Until != nil {
		text += " until " + h.Until.UTC().Format(time.RFC3339)
	}
	if h.Reason != "" {
		text += fmt.Sprintf(" (%s)", explain.Line(h.Reason))
	}
	return text
}

func unholdVerb(a *app) *cobra.Command {
	var project, kind string
	yes := &consent{app: a}
	cmd := verb{
		exits: writeExits(exits{exitMissing: "the project or machine does not exist, or there is no such hold"}),
		use:   "unhold MACHINE", short: "Lift holds",
		long: "Lift all holds of a project on a machine, or with --kind one of them. If another release is wanted,\n" +
			"automation can deploy it from the next tick on. `drover why MACHINE` shows the holds." + consentHelp,
		example: "drover unhold web-01 --project shop\ndrover unhold web-01 --project shop --kind manual",
		run: func(ctx context.Context, args []string) error {
			project, err := a.onlyProject(ctx, project)
			if err != nil {
				return err
			}
			path, what := client.Path("holds", project, args[0]), "the hold of "
			if kind != "" {
				path, what = path+"?kind="+url.QueryEscape(kind), "the "+kind+" hold of "
			}
			if err := yes.before(ctx, path, nil); err != nil {
				return err
			}
			written, err := a.remove(ctx, path)
			if err != nil {
				return err
			}
			return a.wrote(written, what+project+" on "+args[0]+" is lifted")
		},
	}.command()
	cmd.Flags().StringVarP(&project, "project", "p", "", "`PROJECT` of the hold; default: the only project")
	cmd.Flags().StringVar(&kind, "kind", "", "lift only the hold of this `KIND`: manual, unproven, narrowed,\n"+
		"failed-rollout, excluded or cancelled")
	yes.flag(cmd)
	return cmd
}

// postPrinting sends a request and prints its result. If yes is not nil, it first asks for consent.
func (a *app) postPrinting(ctx context.Context, yes *consent, path string, body any, sentence string) error {
	if yes != nil {
		if err := yes.before(ctx, path, body); err != nil {
			return err
		}
	}
	written, err := a.command(ctx, path, body)
	if err != nil {
		return err
	}
	return a.wrote(written, sentence)
}
