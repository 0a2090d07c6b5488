package cli

import (
	"context"
	"net/url"
	"strings"

	"github.com/spf13/cobra"

	"github.com/droverhq/drover/api/client"
	"github.com/droverhq/drover/explain"
)

func whyVerb(a *app) *cobra.Command {
	var project string
	var at past
	var watch bool
	cmd := verb{
		exits: readExits(exits{exitMissing: "the machine or project does not exist"}),
		use:   "why MACHINE", short: "Explain why a machine has, gets or does not get a release",
		long: "Explain why a machine has, gets or does not get a release in each project: the wanted release,\n" +
			"the actual release, what happens next and which events caused it. With --at, explain the state\n" +
			"at a past position or time; a time in the future is refused.",
		example: "drover why web-01\n" +
			"drover why web-01 --project shop --at 2026-03-01T09:00:30Z\n" +
			"drover why web-01 --at '#120' -o json",
		run: func(ctx context.Context, args []string) error {
			q := query("machine", args[0], "project", project, "at", string(at))
			if watch {
				if at != "" {
					return usage("--watch cannot be combined with --at: the past does not change")
				}
				return a.watch(ctx, a.fetchWhy(args[0], q))
			}
			list, _, err := a.why(ctx, q)
			if err != nil {
				return err
			}
			if a.structured() {
				return a.value(list)
			}
			if len(list.Items) == 0 {
				a.info("no project covers machine %s", args[0])
			}
			return a.printWhy(list.Items)
		},
	}.command()
	cmd.Flags().StringVarP(&project, "project", "p", "",
		"explain only this `PROJECT`; default: all projects that include the machine")
	cmd.Flags().Var(&at, "at",
		"explain the state at this `POSITION`, at a time such as 2026-03-01T09:00:30Z, or 10m for ten minutes ago; default: now")
	watchFlag(cmd, &watch)
	return cmd
}

func (a *app) why(ctx context.Context, q url.Values) (list explain.List[explain.Why], position string, err error) {
	position, err = a.readAt(ctx, client.Path("why"), q, &list)
	return list, position, err
}

// fetchWhy returns a fetchFunc for the explanations of one machine in all projects that cover it.
func (a *app) fetchWhy(machine string, q url.Values) fetchFunc {
	return func(ctx context.Context, after string) (now content, err error) {
		q.Set("after", after)
		list, position, err := a.why(ctx, q)
		now = content{position: position, name: "no project covers machine " + machine}
		for _, why := range list.Items {
			key := why.Machine + "/" + why.Project
			now.items = append(now.items, entry{key: key, name: key, text: whyText(why), value: why})
		}
		return now, err
	}
}

// printWhy prints explanations with a blank line between them.
func (a *app) printWhy(list []explain.Why) error {
	for i, why := range list {
		if err := a.printRaw(pick(i > 0, "\n", "") + whyText(why)); err != nil {
			return err
		}
	}
	return nil
}

func whyText(why explain.Why) string {
	var text strings.Builder
	_ = why.Text(&text) // a strings.Builder returns no errors
	return explain.Text(text.String())
}
