package explain

import (
	"bufio"
	"cmp"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"
)

// Table is a list that is printed for people.
type Table struct {
	Header []string
	Rows   [][]string
}

// Unlimited is the width of a table whose columns are aligned and whose lines are not cut.
const Unlimited = -1

// Write writes the table. A width of 0 separates the cells with tabs, for programs. Any other width aligns the columns,
// and a positive width also cuts each line to that many terminal columns.
func (t Table) Write(w io.Writer, width int) error {
	out := bufio.NewWriter(w)
	lines := t.cells()
	widths := columnWidths(lines)
	for _, line := range lines {
		text := strings.Join(line, "\t")
		if width != 0 {
			text = aligned(line, widths)
		}
		if width > 0 {
			text = Cut(text, width)
		}
		if _, err := out.WriteString(text + "\n"); err != nil {
			return err
		}
	}
	return out.Flush()
}

// cells returns the header and the rows, escaped for a terminal.
func (t Table) cells() [][]string {
	var lines [][]string
	if len(t.Header) > 0 {
		lines = append(lines, t.Header)
	}
	for _, row := range t.Rows {
		line := make([]string, len(row))
		for i, cell := range row {
			line[i] = Line(cell)
		}
		lines = append(lines, line)
	}
	return lines
}

func columnWidths(lines [][]string) []int {
	var widths []int
	for _, line := range lines {
		for i, cell := range line {
			if i == len(widths) {
				widths = append(widths, 0)
			}
			widths[i] = max(widths[i], Columns(cell))
		}
	}
	return widths
}

func aligned(line []string, widths []int) string {
	var b strings.Builder
	for i, cell := range line {
		b.WriteString(cell)
		if i < len(line)-1 {
			b.WriteString(strings.Repeat(" ", widths[i]-Columns(cell)+2))
		}
	}
	return strings.TrimRight(b.String(), " ")
}

// choose returns then if b holds, and otherwise the other text.
func choose(b bool, then, otherwise string) string {
	if b {
		return then
	}
	return otherwise
}

func instant(t *time.Time) string {
	if t == nil || t.IsZero() {
		return "-"
	}
	return t.UTC().Format("2006-01-02T15:04:05Z")
}

func dash(text string) string { return choose(text == "", "-", text) }

func joined(names []string) string { return dash(strings.Join(names, ",")) }

// table builds a table with one row for each item of a list.
func table[T any](header string, list []T, row func(T) []string) Table {
	t := Table{Header: strings.Fields(header)}
	for _, item := range list {
		t.Rows = append(t.Rows, row(item))
	}
	return t
}

// MachinesTable returns the output of `get machines`. Only the rows of machines whose health check does not succeed have
// the last cell.
func MachinesTable(list []Machine, wide bool) Table {
	header := "NAME ENVIRONMENT ROLES STATE HEALTH DEPLOYABLE INSTALLED WANTED"
	if wide {
		header += " POLICY INSTANCE NOTE"
	}
	if slices.ContainsFunc(list, func(m Machine) bool { return m.HealthDetail != "" }) {
		header += " DETAIL"
	}
	return table(header, list, func(m Machine) []string {
		row := []string{m.Name, m.Environment, joined(m.Roles), m.Presence + choose(m.Enabled, "", ",disabled") + choose(m.Doubted, ",doubted", ""), m.Health,
			choose(m.Deployable, "yes", "no"), installedCell(m), wantedCell(m.Wanted)}
		if wide {
			row = append(row, m.Policy, dash(m.Instance), dash(m.Note))
		}
		if m.HealthDetail != "" {
			row = append(row, m.HealthDetail)
		}
		return row
	})
}

// installedCell returns what a machine has of each project, and what it is getting: "shop=1.1 → 1.2 (rolling)".
func installedCell(m Machine) string {
	cells := map[string]string{}
	for _, i := range m.Installed {
		cells[i.Project] = dash(i.Release) + choose(i.Dirty, "(dirty)", "")
	}
	for _, r := range m.Rolling {
		cells[r.Project] = rollingCell(cells[r.Project], r.Release)
	}
	var list []string
	for _, project := range namesAfter(cells, "") {
		list = append(list, project+"="+cells[project])
	}
	return joined(list)
}

// rollingCell describes a release that is being replaced by another one, or deployed again.
func rollingCell(from, to string) string {
	if from == to {
		return to + " again (rolling)"
	}
	return dash(from) + " → " + to + " (rolling)"
}

func wantedCell(list []Wanted) string {
	var cells []string
	for _, w := range list {
		release := dash(w.Release) + choose(w.Expected == "", "", " → "+w.Expected)
		cells = append(cells, w.Project+"="+release+choose(w.Held, "(held)", "")+choose(w.Pinned, "(pinned)", ""))
	}
	return joined(cells)
}

// DeploymentsTable returns the output of `get deployments`.
func DeploymentsTable(list []Deployment, wide bool) Table {
	header := "ID PROJECT RELEASE ENVIRONMENT KIND STATE MACHINES BY REASON"
	if wide {
		header += " CREATED ENDED"
	}
	return table(header, list, func(d Deployment) []string {
		row := []string{d.ID, d.Project, d.Release, d.Environment, d.Kind, d.State, counted(d.Machines),
			dash(d.Cause.By), choose(wide, deploymentReason(d), dash(d.Cause.Reason))}
		if wide {
			row = append(row, instant(&d.CreatedAt), instant(d.EndedAt))
		}
		return row
	})
}

// deploymentReason returns why a deployment was queued, and what replaced it.
func deploymentReason(d Deployment) string {
	if d.SupersededBy == nil {
		return dash(d.Cause.Reason)
	}
	if d.Cause.Reason == "" {
		return d.SupersededBy.String()
	}
	return d.Cause.Reason + "; " + d.SupersededBy.String()
}

// counted counts parts by state, as in "2 succeeded,1 failed".
func counted(list []DeploymentMachine) string {
	count := map[string]int{}
	for _, m := range list {
		count[m.State]++
	}
	var cells []string
	for _, state := range []string{"queued", "released", "running", "verifying", "succeeded", "failed", "skipped",
		"cancelled", "lost"} {
		if count[state] > 0 {
			cells = append(cells, fmt.Sprintf("%d %s", count[state], state))
		}
	}
	return joined(cells)
}

// PartsTable returns the parts of one deployment as a table.
func PartsTable(list []DeploymentMachine) Table {
	return table("MACHINE STATE REASON STARTED FINISHED DETAIL", list, func(m DeploymentMachine) []string {
		return []string{m.Name, m.State, dash(m.Reason), instant(m.StartedAt), instant(m.FinishedAt), dash(m.detail())}
	})
}

// detail returns what the agent reported, or what the part waits for.
func (m DeploymentMachine) detail() string {
	if m.Detail == "" && m.WaitsFor != nil {
		return m.WaitsFor.String()
	}
	return m.Detail
}

// CandidatesTable returns the output of `get candidates`.
func CandidatesTable(list []Candidate) Table {
	return table("PROJECT TRIGGER MACHINE OPENED VERDICT REASON CAUSES", list, func(c Candidate) []string {
		return []string{c.Project, c.Trigger, c.Machine, "#" + c.Opened, c.Verdict, c.Reason, joined(c.Causes)}
	})
}

// ProjectsTable returns the output of `get projects`.
func ProjectsTable(list []Project, wide bool) Table {
	return table("NAME ENABLED ROLES RELEASES TRIGGERS WAITING ENVIRONMENTS", list, func(p Project) []string {
		var statuses []string
		for _, s := range p.Environments {
			pinned := choose(s.Pinned == "", "", "(pinned "+s.Pinned+choose(wide && s.PinnedUntil != nil,
				" until "+instant(s.PinnedUntil), "")+")")
			release := choose(s.Rolling == "", dash(s.Release), rollingCell(s.Release, s.Rolling))
			statuses = append(statuses, s.Environment+"="+release+pinned)
		}
		return []string{p.Name, choose(p.Enabled, "yes", "no"), joined(p.Roles), fmt.Sprint(p.Releases), joined(p.Triggers),
			fmt.Sprint(p.Waiting), joined(statuses)}
	})
}

// TriggersTable returns the output of `get triggers`.
func TriggersTable(list []Trigger) Table {
	return table("NAME PROJECT ENABLED EVENTS ENVIRONMENTS ROLES REDEPLOY WAITING", list, func(t Trigger) []string {
		return []string{t.Name, t.Project, choose(t.Enabled, "yes", "no"), joined(t.Events),
			joined(t.Environments), joined(t.Roles), choose(t.Redeploy, "yes", "no"), fmt.Sprint(t.Waiting)}
	})
}

// EnvironmentsTable returns the output of `get environments`.
func EnvironmentsTable(list []Environment) Table {
	return table("NAME MACHINES ONLINE", list, func(e Environment) []string {
		return []string{e.Name, fmt.Sprint(e.Machines), fmt.Sprint(e.Online)}
	})
}

// PoliciesTable returns the output of `get policies`.
func PoliciesTable(list []Policy) Table {
	return table("NAME MACHINES", list, func(p Policy) []string { return []string{p.Name, fmt.Sprint(p.Machines)} })
}

// ServersTable returns the output of `get servers`.
func ServersTable(list []Server) Table {
	return table("ID ADDRESS VERSION STARTED SELF ALIVE", list, func(s Server) []string {
		return []string{s.ID, dash(s.Address), dash(s.Version), instant(&s.Started), choose(s.Self, "yes", "no"),
			choose(s.Alive, "yes", "no")}
	})
}

// TokensTable returns the output of `token list`. It shows the id of a person whose name could not be read, and who
// created a token that has no owner.
func TokensTable(list []Token) Table {
	return table("ID NAME KIND OWNER USES LAST-USED UNTIL PROJECTS ENVIRONMENTS ROLES STATE", list, func(t Token) []string {
		uses := "-"
		if t.Kind == "join" {
			uses = fmt.Sprintf("%d of %s", t.Used, choose(t.Uses == 0, "any", fmt.Sprint(t.Uses)))
		}
		if t.MaxMachines > 0 {
			uses += fmt.Sprintf(", %d of %d machines", t.Machines, t.MaxMachines)
		}
		return []string{t.ID, dash(t.Name), t.Kind, dash(cmp.Or(t.PersonName, t.Person, t.CreatedBy)), uses,
			instant(t.LastUsed), instant(t.Until), joined(t.Projects), joined(t.Environments), joined(t.Roles), t.State()}
	})
}

// PeopleTable returns the output of `person list`.
func PeopleTable(list []Person) Table {
	return table("ID NAME", list, func(p Person) []string { return []string{p.ID, p.Name} })
}

// EventsTable returns the output of `events`. Wide adds the data of each event.
func EventsTable(list []Event, wide bool) Table {
	return table("POSITION TIME TYPE STREAM TEXT"+choose(wide, " DATA", ""), list, func(e Event) []string {
		row := []string{"#" + e.Position, e.Time.UTC().Format("2006-01-02 15:04:05"), e.Type, e.Stream, dash(e.Text)}
		if wide {
			row = append(row, string(e.Data))
		}
		return row
	})
}
