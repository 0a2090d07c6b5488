package cli

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/droverhq/drover/explain"
)

func statusVerb(a *app) *cobra.Command {
	var project, environment string
	var watch bool
	cmd := verb{
		exits: readExits(exits{exitMissing: "the project or environment does not exist"}),
		use:   "status", short: "Show releases, rollouts and problems at a glance",
		long: "Show each project in each environment: the release, how many machines have it, and what the others\n" +
			"do. Then list the open deployments, and what needs attention with the command that shows more.\n\n" +
			"On a terminal that is wide enough, each environment is a column: ● all machines have the release,\n" +
			"◐ a rollout is open, ▲ failed, ■ held or pinned, ○ offline, ◔ behind. In a pipe, only the rows of\n" +
			"the table are printed.",
		example: "drover status\n" +
			"drover status --environment production -w\n" +
			"drover status --project shop -o json",
		run: func(ctx context.Context, _ []string) error {
			q := query("project", project, "environment", environment)
			fetch := func(ctx context.Context, after string) (now content, err error) {
				q.Set("after", after)
				var s explain.Status
				now.position, err = a.readAt(ctx, "/status", q, &s)
				now.items = []entry{{key: "status", name: "status", text: a.statusText(s), value: s}}
				return now, err
			}
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
	cmd.Flags().StringVarP(&project, "project", "p", "", "show only this `PROJECT`")
	cmd.Flags().StringVarP(&environment, "environment", "e", "", "show only this `ENVIRONMENT`")
	watchFlag(cmd, &watch)
	return cmd
}

// statusText returns a status as text: for a program, the rows of its table.
func (a *app) statusText(s explain.Status) string {
	var b strings.Builder
	rows := explain.StatusTable(s.Projects)
	if !isTerminal(a.Out) && a.output == "" {
		rows.Header = nil
		_ = rows.Write(&b, 0) // a strings.Builder returns no errors
		return b.String()
	}
	style := a.style()
	grid := gridOf(s.Projects)
	if t := (tableWriter{style: style}); len(s.Projects) > 0 && a.output != formatWide && t.fits(grid) {
		b.WriteString(t.draw(grid))
	} else if len(s.Projects) > 0 {
		b.WriteString((&tableWriter{style: style}).draw(rows))
	} else {
		b.WriteString("no project wants a release or has machines yet\n")
	}
	writeRunning(&b, s, style)
	for i, item := range s.Attention {
		fmt.Fprintf(&b, "%s▲ %s\n  %s\n", pick(i == 0, "\nneeds attention\n", ""), explain.Line(item.Text),
			explain.Line(item.Command))
	}
	fmt.Fprintf(&b, "\n%s: %d online, %d not. As of #%s.\n", plural(s.Fleet.Machines, "machine"), s.Fleet.Online,
		s.Fleet.Machines-s.Fleet.Online, s.Position)
	return b.String()
}

func writeRunning(b *strings.Builder, s explain.Status, style style) {
	if len(s.Running) == 0 {
		return
	}
	b.WriteString("\nrunning\n")
	t := explain.Table{Header: []string{"DEPLOYMENT", "PROJECT", "RELEASE", "ENVIRONMENT", "MACHINES", "FAILED", "BY"}}
	for _, d := range s.Running {
		t.Rows = append(t.Rows, []string{d.ID, d.Project, d.Release, d.Environment,
			fmt.Sprintf("%d/%d", d.Succeeded, d.Machines), fmt.Sprint(d.Failed), pick(d.By == "", "drover", d.By)})
	}
	b.WriteString((&tableWriter{style: style}).draw(t))
	if more := s.RunningTotal - len(s.Running); more > 0 {
		fmt.Fprintf(b, "and %d more: drover get deployments --state running\n", more)
	}
}

// gridOf returns a table with one row for each project and one column for each environment.
func gridOf(list []explain.ProjectStatus) explain.Table {
	var environments []string
	for _, p := range list {
		environments = append(environments, p.Environment)
	}
	slices.Sort(environments)
	environments = slices.Compact(environments)
	grid := explain.Table{Header: []string{"PROJECT"}}
	for _, name := range environments {
		grid.Header = append(grid.Header, strings.ToUpper(name))
	}
	for _, p := range list {
		if len(grid.Rows) == 0 || grid.Rows[len(grid.Rows)-1][0] != p.Project {
			row := slices.Repeat([]string{"-"}, len(environments)+1)
			row[0] = p.Project
			grid.Rows = append(grid.Rows, row)
		}
		place, _ := slices.BinarySearch(environments, p.Environment)
		grid.Rows[len(grid.Rows)-1][place+1] = cellOf(p)
	}
	return grid
}

// cellOf returns the cell of a project in one environment, such as "1.4.2 → 1.4.3 ◐ 412/600 ▲1 ■2".
func cellOf(p explain.ProjectStatus) string {
	if p.Release == "" {
		return "-"
	}
	mark := "●"
	switch {
	case p.Deployment != "":
		mark = "◐"
	case p.Failed > 0:
		mark = "▲"
	case p.Have < p.Machines:
		mark = "◔"
	}
	release := p.Release
	if p.Deployment != "" && p.Wanted != "" && p.Wanted != p.Release {
		release = p.Wanted + " → " + p.Release
	}
	cell := fmt.Sprintf("%s %s %d", release, mark, p.Machines)
	if p.Have < p.Machines {
		cell = fmt.Sprintf("%s %s %d/%d", release, mark, p.Have, p.Machines)
	}
	for _, of := range []struct {
		mark  string
		count int
	}{{"▲", p.Failed}, {"■", p.Held}, {"○", p.Offline}} {
		if of.count > 0 {
			cell += fmt.Sprintf(" %s%d", of.mark, of.count)
		}
	}
	return cell + pick(p.Pinned, " ■ pinned", "") + pick(p.Enabled, "", " disabled")
}
