package cli

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/droverhq/drover/domain"
	"github.com/droverhq/drover/explain"
)

func describeVerb(a *app) *cobra.Command {
	var project, state string
	var watch bool
	cmd := verb{
		exits: readExits(exits{exitMissing: "the resource does not exist"}),
		use:   "describe KIND NAME", short: "Show the details of a resource",
		long: "Show all fields of a resource. For a machine, also explain its release in each project, as\n" +
			"`drover why` does. For an environment, list the release of each project. For a deployment, list its\n" +
			"machines, and group the failed ones by step, exit code and last line of output. For a release, print\n" +
			"its variables and scripts, as `drover release show` does.",
		example: "drover describe machine web-01 -w\n" +
			"drover describe deployment 0b6c9bde-5c53-5d35-9f1c-3f0e5a1b7a10 --state failed",
		run: func(ctx context.Context, args []string) error {
			k, args, err := findNamed(args)
			if err != nil {
				return err
			}
			path, err := k.path(args[1], project)
			if err != nil {
				return err
			}
			if err := checkPartState(k, state); err != nil {
				return err
			}
			if a.structured() && state == "" {
				return a.getOne(ctx, k, args[1], project, "", watch)
			}
			fetch := a.fetchDescription(k, path, args[1], state)
			if watch {
				return a.watch(ctx, fetch)
			}
			now, err := fetch(ctx, "")
			switch {
			case err != nil:
				return err
			case a.structured():
				return a.value(now.items[0].value)
			}
			return a.printRaw(now.items[0].text)
		},
	}.command()
	cmd.Args = func(cmd *cobra.Command, args []string) error {
		if len(args) == 1 && strings.Contains(args[0], "/") {
			return nil // KIND/NAME
		}
		return checkArgs(cmd, " KIND NAME", args)
	}
	cmd.Flags().StringVarP(&project, "project", "p", "", "`PROJECT` of a trigger or release")
	cmd.Flags().StringVar(&state, "state", "",
		"list only the machines of a deployment that are in this `STATE`, such as failed or running")
	watchFlag(cmd, &watch)
	return cmd
}

// partStates are the states of the machines of a deployment.
var partStates = []string{"queued", "released", "running", "verifying", "succeeded", "failed", "skipped", "cancelled", "lost"}

// checkPartState returns an error if --state is not the state of a part, or if the resource has no parts.
func checkPartState(k kind, state string) error {
	switch {
	case state == "":
		return nil
	case k.name != deploymentKind.name:
		return usage("--state requires a deployment, such as `drover describe deployment ID --state failed`")
	case !slices.Contains(partStates, state):
		return usage("unknown state %s: use %s", quoted(state), domain.Enumerate(partStates, "or"))
	}
	return nil
}

// fetchDescription returns a fetchFunc for the description of one resource. state selects machines of a deployment; empty
// selects all.
func (a *app) fetchDescription(k kind, path, name, state string) fetchFunc {
	return func(ctx context.Context, after string) (now content, err error) {
		var text string
		var value any
		switch k.name {
		case deploymentKind.name:
			text, value, now.position, err = a.describeDeployment(ctx, path, after, state)
		case releaseKind.name:
			text, now.position, err = a.describeRelease(ctx, path, after)
		default:
			text, now.position, err = k.details(ctx, a, path, after)
			text = explain.Text(text)
		}
		switch {
		case err != nil:
		case k.name == machineKind.name:
			text, err = a.appendWhy(ctx, text, name, now.position)
		case k.name == environmentKind.name:
			text, err = a.appendReleases(ctx, text, name, now.position)
		}
		now.items = []entry{{key: name, name: k.name + "/" + name, text: text, value: value}}
		return now, err
	}
}

// appendWhy appends the explanation of a machine's release in each project.
func (a *app) appendWhy(ctx context.Context, text, machine, after string) (string, error) {
	list, _, err := a.why(ctx, query("machine", machine, "after", after))
	if err != nil {
		return "", err
	}
	for _, why := range list.Items {
		text += "\n" + whyText(why)
	}
	return text, nil
}

// appendReleases appends the release of each project in an environment, and what its machines do.
func (a *app) appendReleases(ctx context.Context, text, environment, after string) (string, error) {
	var s explain.Status
	if _, err := a.readAt(ctx, "/status", query("environment", environment, "after", after), &s); err != nil {
		return "", err
	}
	if len(s.Projects) == 0 {
		return text, nil
	}
	t := tableWriter{style: a.style()}
	return text + "\n" + t.draw(explain.StatusTable(s.Projects)), nil
}

// supersededText names the deployment that replaced another one; empty without one.
func supersededText(d explain.Deployment) string {
	if d.SupersededBy == nil {
		return ""
	}
	return fmt.Sprintf("by %s (release %s)", d.SupersededBy.ID, d.SupersededBy.Release)
}

// describeDeployment returns a deployment with the machines in a state as text and as a value. Its failures are grouped.
func (a *app) describeDeployment(ctx context.Context, path, after, state string) (text string, d explain.Deployment,
	position string, err error) {
	position, err = a.readAt(ctx, path, query("after", after), &d)
	if err != nil {
		return "", d, "", err
	}
	if state != "" {
		d.Machines = slices.DeleteFunc(d.Machines, func(m explain.DeploymentMachine) bool { return m.State != state })
	}
	wave, accepted := "", ""
	if d.Wave != nil {
		wave = d.Wave.String()
	}
	if d.Accepted != nil {
		accepted = d.Accepted.String()
	}
	rows := [][2]string{
		{"deployment", d.ID}, {"project", d.Project}, {"release", d.Release}, {"environment", d.Environment},
		{"kind", d.Kind}, {"state", d.State + failuresText(d)}, {"accepted", accepted}, {"wave", wave}, {"by", d.Cause.By}, {"triggers", strings.Join(d.Cause.Triggers, ", ")},
		{"reason", d.Cause.Reason}, {"superseded", supersededText(d)}, {"created", fmt.Sprintf("%s (#%s)",
			d.CreatedAt.UTC().Format("2006-01-02T15:04:05Z"), d.Position)},
	}
	var b strings.Builder
	for _, row := range rows {
		if row[1] != "" {
			fmt.Fprintf(&b, "%-12s %s\n", row[0], explain.Line(row[1]))
		}
	}
	b.WriteString("\n")
	if groups := explain.GroupFailures(d.Machines); len(groups) > 0 {
		t := tableWriter{style: a.style()}
		b.WriteString(t.draw(explain.FailuresTable(groups)) + "\n")
	}
	if len(d.Machines) > 0 {
		t := tableWriter{style: a.style()}
		b.WriteString(t.draw(explain.PartsTable(d.Machines)))
	}
	return b.String(), d, position, nil
}
