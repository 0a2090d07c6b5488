package cli

import (
	"context"
	"strings"

	"github.com/spf13/cobra"

	"github.com/droverhq/drover/api/client"
	"github.com/droverhq/drover/explain"
)

func whyVerb(s *shell) *cobra.Command {
	var project, at string
	cmd := verb{
		exits: asks(exits{exitMissing: "machine or project does not exist"}),
		use:   "why MACHINE", short: "Explain why a machine has, gets or does not get a release",
		long: "Explain why a machine has, gets or does not get a release: what is wanted there, what is there, what\nhappens next and because of which events. " +
			"With --at, as it was at a past position or moment.",
		example: "drover why web-01\ndrover why web-01 --project shop --at 2026-03-01T09:00:30Z\ndrover why web-01 --at '#120' -o json",
		run: func(ctx context.Context, args []string) error {
			list, err := s.why(ctx, args[0], project, position(at))
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
	return cmd
}

func (s *shell) why(ctx context.Context, machine, project, at string) (list explain.List[explain.Why], err error) {
	err = s.read(ctx, client.Path("why"), query("machine", machine, "project", project, "at", at), &list)
	return list, err
}

// tellWhy writes answers as people read them, a blank line between two.
func (s *shell) tellWhy(list []explain.Why) error {
	for i, w := range list {
		var text strings.Builder
		if i > 0 {
			text.WriteString("\n")
		}
		if err := w.Text(&text); err != nil {
			return err
		}
		if err := s.print(text.String()); err != nil {
			return err
		}
	}
	return nil
}
