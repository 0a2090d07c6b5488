package cli

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/droverhq/drover/explain"
)

func describeVerb(s *shell) *cobra.Command {
	var project string
	cmd := verb{
		exits: asks(exits{exitMissing: "there is nothing of that name"}),
		use:   "describe KIND NAME", short: "Show all about one thing",
		long:    "Show all about one thing; of a machine also why it has what it has, of a deployment each machine.",
		example: "drover describe machine web-01\ndrover describe deployment 0b6c9bde-5c53-5d35-9f1c-3f0e5a1b7a10",
		run: func(ctx context.Context, args []string) error {
			k, err := findKind(args[0])
			if err != nil {
				return err
			}
			path, err := k.path(id(args[1]), project)
			if err != nil {
				return err
			}
			switch {
			case s.structured():
				return k.one(ctx, s, path)
			case k.name == "machine":
				return s.describeMachine(ctx, k, path, args[1])
			case k.name == "deployment":
				return s.describeDeployment(ctx, path)
			}
			return k.all(ctx, s, path)
		},
	}.command()
	cmd.Flags().StringVar(&project, "project", "", "`PROJECT` of a trigger or release")
	return cmd
}

func (s *shell) describeMachine(ctx context.Context, k kind, path, name string) error {
	if err := k.all(ctx, s, path); err != nil {
		return err
	}
	list, err := s.why(ctx, name, "", "")
	if err != nil {
		return err
	}
	if err := s.print("\n"); err != nil {
		return err
	}
	return s.tellWhy(list.Items)
}

func (s *shell) describeDeployment(ctx context.Context, path string) error {
	var d explain.Deployment
	if err := s.read(ctx, path, nil, &d); err != nil {
		return err
	}
	rows := [][2]string{
		{"deployment", d.ID}, {"project", d.Project}, {"release", d.Release}, {"environment", d.Environment},
		{"kind", d.Kind}, {"state", d.State}, {"by", d.Cause.By}, {"triggers", strings.Join(d.Cause.Triggers, ", ")},
		{"reason", d.Cause.Reason}, {"created", fmt.Sprintf("%s (#%s)", d.CreatedAt.UTC().Format("2006-01-02T15:04:05Z"), d.Position)},
	}
	var b strings.Builder
	for _, row := range rows {
		if row[1] != "" {
			fmt.Fprintf(&b, "%-12s %s\n", row[0], explain.Line(row[1]))
		}
	}
	if err := s.print(b.String() + "\n"); err != nil {
		return err
	}
	if len(d.Machines) == 0 {
		return nil
	}
	t := sheet{style: s.style()}
	return s.drawn(t.draw(explain.PartsTable(d.Machines)))
}
