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
	var watch bool
	cmd := verb{
		exits: readExits(exits{exitMissing: "the resource does not exist"}),
		use:   "describe KIND NAME", short: "Show the details of a resource",
		long: "Show all fields of a resource. For a machine, also explain its release in each project, as\n" +
			"`drover why` does. For a deployment, list its machines.",
		example: "drover describe machine web-01 -w\n" +
			"drover describe deployment 0b6c9bde-5c53-5d35-9f1c-3f0e5a1b7a10",
		run: func(ctx context.Context, args []string) error {
			k, err := findKind(args[0])
			if err != nil {
				return err
			}
			path, err := k.path(id(args[1]), project)
			if err != nil {
				return err
			}
			if s.structured() {
				return s.getOne(ctx, k, id(args[1]), project, watch)
			}
			if watch {
				return s.watch(ctx, s.fetchDescription(k, path, args[1]))
			}
			now, err := s.fetchDescription(k, path, args[1])(ctx, "")
			if err != nil {
				return err
			}
			return s.printRaw(now.items[0].text)
		},
	}.command()
	cmd.Flags().StringVar(&project, "project", "", "`PROJECT` of a trigger or release")
	watchFlag(cmd, &watch)
	return cmd
}

// fetchDescription returns a fetchFunc for the description of one resource.
func (s *shell) fetchDescription(k kind, path, name string) fetchFunc {
	return func(ctx context.Context, after string) (now content, err error) {
		var text string
		switch k.name {
		case deploymentKind.name:
			text, now.position, err = s.describeDeployment(ctx, path, after)
		default:
			text, now.position, err = k.details(ctx, s, path, after)
			text = explain.Text(text)
		}
		if err == nil && k.name == machineKind.name {
			text, err = s.appendWhy(ctx, text, name, now.position)
		}
		now.items = []entry{{key: name, name: k.name + "/" + name, text: text}}
		return now, err
	}
}

// appendWhy appends the explanation of a machine's release in each project.
func (s *shell) appendWhy(ctx context.Context, text, machine, after string) (string, error) {
	list, _, err := s.why(ctx, query("machine", machine, "after", after))
	if err != nil {
		return "", err
	}
	for _, why := range list.Items {
		text += "\n" + whyText(why)
	}
	return text, nil
}

func (s *shell) describeDeployment(ctx context.Context, path, after string) (text, position string, err error) {
	var d explain.Deployment
	position, err = s.readAt(ctx, path, query("after", after), &d)
	if err != nil {
		return "", "", err
	}
	rows := [][2]string{
		{"deployment", d.ID}, {"project", d.Project}, {"release", d.Release}, {"environment", d.Environment},
		{"kind", d.Kind}, {"state", d.State}, {"by", d.Cause.By}, {"triggers", strings.Join(d.Cause.Triggers, ", ")},
		{"reason", d.Cause.Reason}, {"created", fmt.Sprintf("%s (#%s)",
			d.CreatedAt.UTC().Format("2006-01-02T15:04:05Z"), d.Position)},
	}
	var b strings.Builder
	for _, row := range rows {
		if row[1] != "" {
			fmt.Fprintf(&b, "%-12s %s\n", row[0], explain.Line(row[1]))
		}
	}
	b.WriteString("\n")
	if len(d.Machines) > 0 {
		t := tableWriter{style: s.style()}
		b.WriteString(t.draw(explain.PartsTable(d.Machines)))
	}
	return b.String(), position, nil
}
