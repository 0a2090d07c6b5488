package explain

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/droverhq/drover/domain"
)

// FailureGroup is the machines of a deployment that failed in the same way.
type FailureGroup struct {
	State    string // failed or lost
	Reason   string // of domain.PartReason
	Step     string // empty if no step failed
	ExitCode int    // 0 if the step did not end by itself
	// Line is the last line that the step printed, or another detail of the agent; it may be empty. Where it names its
	// machine and the machines of the group differ in nothing else, it has … instead of the name.
	Line     string
	Machines []string // at least one, in the order of the deployment
}

// GroupFailures groups the machines that failed or were lost by step, exit code and last line. The largest group is
// first.
func GroupFailures(machines []DeploymentMachine) []FailureGroup {
	var groups []FailureGroup
	index := map[string]int{}
	for _, m := range machines {
		if m.State != string(domain.PartFailed) && m.State != string(domain.PartLost) {
			continue
		}
		line := failureLine(m)
		general := withoutName(line, m.Name)
		key := fmt.Sprintf("%q %q %q %d %q", m.State, m.Reason, m.Step, m.ExitCode, general)
		i, known := index[key]
		if !known {
			i = len(groups)
			index[key] = i
			groups = append(groups, FailureGroup{State: m.State, Reason: m.Reason, Step: m.Step, ExitCode: m.ExitCode,
				Line: line})
		}
		if groups[i].Line != line {
			groups[i].Line = general
		}
		groups[i].Machines = append(groups[i].Machines, m.Name)
	}
	slices.SortStableFunc(groups, func(a, b FailureGroup) int {
		return cmp.Compare(len(b.Machines), len(a.Machines))
	})
	return groups
}

// failureLine returns the detail of a part without the step and the exit code, which have their own fields.
func failureLine(m DeploymentMachine) string {
	if m.ExitCode == 0 {
		return m.Detail
	}
	line, described := strings.CutPrefix(m.Detail, domain.StepEnded(m.Step, m.ExitCode))
	if !described {
		return m.Detail
	}
	return strings.TrimPrefix(line, ": ")
}

// withoutName replaces a name in a line by …, except inside longer words.
func withoutName(line, name string) string {
	var b strings.Builder
	before := utf8.RuneError
	for line != "" {
		if rest, found := strings.CutPrefix(line, name); found && name != "" && !inName(before) {
			if next, _ := utf8.DecodeRuneInString(rest); rest == "" || !inName(next) {
				b.WriteString("…")
				line, before = rest, '…'
				continue
			}
		}
		r, size := utf8.DecodeRuneInString(line)
		b.WriteString(line[:size])
		line, before = line[size:], r
	}
	return b.String()
}

// inName reports whether a character can be part of a longer name.
func inName(r rune) bool { return unicode.IsLetter(r) || unicode.IsDigit(r) || r == '-' || r == '_' }

// What describes the failure without its machines: `step migrate, exit 3: "connection refused"`.
func (g FailureGroup) What() string {
	switch {
	case g.Step != "" && g.ExitCode != 0:
		text := fmt.Sprintf("step %s, exit %d", Line(g.Step), g.ExitCode)
		if g.Line != "" {
			text += `: "` + Line(g.Line) + `"`
		}
		return text
	case g.State == string(domain.PartLost):
		return "lost: " + cmp.Or(Line(g.Line), domain.PartReason(g.Reason).Text())
	}
	return cmp.Or(Line(g.Line), domain.PartReason(g.Reason).Text(), g.State)
}

// String returns one line: `12 machines: step migrate, exit 3: "connection refused" — web-1, web-2, … 10 more`.
func (g FailureGroup) String() string {
	noun := "machines"
	if len(g.Machines) == 1 {
		noun = "machine"
	}
	return fmt.Sprintf("%d %s: %s — %s", len(g.Machines), noun, g.What(), g.names())
}

// names returns up to three names, or the first two and the number of the others.
func (g FailureGroup) names() string {
	if len(g.Machines) <= 3 {
		return strings.Join(g.Machines, ", ")
	}
	return fmt.Sprintf("%s, … %d more", strings.Join(g.Machines[:2], ", "), len(g.Machines)-2)
}

// FailuresTable returns groups of failures as a table.
func FailuresTable(groups []FailureGroup) Table {
	return table("FAILED STEP EXIT LAST-LINE MACHINES", groups, func(g FailureGroup) []string {
		exit, line := "-", g.Line
		if g.ExitCode != 0 {
			exit = fmt.Sprint(g.ExitCode)
		} else if line == "" {
			line = domain.PartReason(g.Reason).Text()
		}
		return []string{fmt.Sprint(len(g.Machines)), dash(g.Step), exit, dash(line), g.names()}
	})
}
