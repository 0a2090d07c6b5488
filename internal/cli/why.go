package cli

import (
	"context"
	"net/url"
	"strings"

	"github.com/spf13/cobra"

	"github.com/droverhq/drover/api/client"
	"github.com/droverhq/drover/explain"
)

func whyVerb(s *shell) *cobra.Command {
	var project, at string
	var watch bool
	cmd := verb{
		exits: asks(exits{exitMissing: "machine or project does not exist"}),
		use:   "why MACHINE", short: "Explain why a machine has, gets or does not get a release",
		long: "Explain why a machine has, gets or does not get a release: what is wanted there, what is there, what\nhappens next and because of which events. " +
			"With --at, as it was at a past position or moment.",
		example: "drover why web-01\ndrover why web-01 --project shop --at 2026-03-01T09:00:30Z\ndrover why web-01 --at '#120' -o json",
		run: func(ctx context.Context, args []string) error {
			q := query("machine", args[0], "project", project, "at", position(at))
			if watch {
				if at != "" {
					return usage("--watch is for what goes on; what was so at --at does not change")
				}
				return s.watch(ctx, s.watchedWhy(args[0], q))
			}
			list, _, err := s.why(ctx, q)
			if err != nil {
				return err
			}
			if s.structured() {
				return s.value(list)
			}
			if len(list.Items) == 0 {
				s.say("no project looks at machine %s", args[0])
			}
			return s.tellWhy(list.Items)
		},
	}.command()
	cmd.Flags().StringVar(&project, "project", "", "only for this `PROJECT`; default: all that look at the machine")
	cmd.Flags().StringVar(&at, "at", "", "as it was at this `POSITION`, or time such as 2026-03-01T09:00:30Z")
	watchFlag(cmd, &watch)
	return cmd
}

func (s *shell) why(ctx context.Context, q url.Values) (list explain.List[explain.Why], position string, err error) {
	position, err = s.readAt(ctx, client.Path("why"), q, &list)
	return list, position, err
}

// watchedWhy looks at the answers for all projects that look at a machine.
func (s *shell) watchedWhy(machine string, q url.Values) look {
	return func(ctx context.Context, after string) (now sight, err error) {
		q.Set("after", after)
		list, position, err := s.why(ctx, q)
		now = sight{position: position, name: "no project looks at machine " + machine}
		for _, why := range list.Items {
			key := why.Machine + "/" + why.Project
			now.items = append(now.items, seen{key: key, name: key, text: whyText(why), value: why})
		}
		return now, err
	}
}

// tellWhy writes answers as people read them, a blank line between two.
func (s *shell) tellWhy(list []explain.Why) error {
	for i, why := range list {
		if err := s.drawn(pick(i > 0, "\n", "") + whyText(why)); err != nil {
			return err
		}
	}
	return nil
}

func whyText(why explain.Why) string {
	var text strings.Builder
	_ = why.Text(&text) // a Builder takes all
	return explain.Text(text.String())
}
