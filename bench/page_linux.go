package main

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"time"
)

// table is the result of a row.
type table struct {
	head []string
	rows [][]string
	// notes follow the table as paragraphs.
	notes []string
}

func (t *table) add(cells ...string) { t.rows = append(t.rows, cells) }

func (t *table) note(format string, values ...any) {
	t.notes = append(t.notes, fmt.Sprintf(format, values...))
}

// comparedWith returns an empty table of figures with their budgets. Its third column is for a value from the same
// run to compare with.
func comparedWith(other string) *table {
	return &table{head: []string{"what", "figure", other, "ratio", "budget", "met"}}
}

// figure adds a number. A compared value of 0 or a budget of 0 means that there is no such value.
func (t *table) figure(what, format string, value, other, budget float64) {
	show := func(v float64) string {
		if v == 0 {
			return "–"
		}
		return fmt.Sprintf(format, v)
	}
	times, met := "–", "–"
	if other > 0 {
		times = fmt.Sprintf("%.1f", value/other)
	}
	if budget > 0 {
		met = metOrNot(value <= budget)
	}
	bound := "–"
	if budget > 0 {
		bound = "≤ " + fmt.Sprintf(format, budget)
	}
	t.add(what, fmt.Sprintf(format, value), show(other), times, bound, met)
}

// metOrNot formats whether a budget was met.
func metOrNot(met bool) string {
	if met {
		return "yes"
	}
	return "**no**"
}

// atLeast adds a number that must not be below its budget.
func (t *table) atLeast(what, format string, value, budget float64) {
	t.add(what, fmt.Sprintf(format, value), "–", "–", "≥ "+fmt.Sprintf(format, budget), metOrNot(value >= budget))
}

// markdown formats the table for the page.
func (t *table) markdown() string {
	var b strings.Builder
	line := func(cells []string) { fmt.Fprintf(&b, "| %s |\n", strings.Join(cells, " | ")) }
	line(t.head)
	line(strings.Split(strings.Repeat("---,", len(t.head)-1)+"---", ","))
	for _, row := range t.rows {
		line(row)
	}
	for _, note := range t.notes {
		fmt.Fprintf(&b, "\n%s\n", note)
	}
	return b.String()
}

// describeRun describes the machine, the commit and the command of a measurement.
func describeRun(command string) string {
	model, cores := "unknown", runtime.NumCPU()
	text, _ := os.ReadFile("/proc/cpuinfo")
	for line := range strings.Lines(string(text)) {
		if name, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(name) == "model name" {
			model = strings.TrimSpace(value)
			break
		}
	}
	commit, err := exec.Command("git", "describe", "--always", "--dirty").Output()
	if err != nil {
		commit = []byte("unknown")
	}
	load, _ := os.ReadFile("/proc/loadavg")
	first, _, _ := strings.Cut(string(load), " ")
	return fmt.Sprintf("`%s` · commit %s · %s · %d × %s · %s · load at the end %s", command,
		strings.TrimSpace(string(commit)),
		time.Now().UTC().Format("2006-01-02"), cores, model, runtime.Version(), first)
}

func markers(row string) (begin, end string) {
	return "<!-- figures of " + row + ": written by the command -->", "<!-- end of " + row + " -->"
}

// writeResult writes the result of a row between its markers in the page. It creates a missing page.
func writeResult(path, row, text string) error {
	page, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		for _, r := range rows {
			begin, end := markers(r.name)
			page = fmt.Appendf(page, "## %s: %s\n\n%s\n%s\n\n", r.name, r.summary, begin, end)
		}
	} else if err != nil {
		return err
	}
	begin, end := markers(row)
	before, rest, ok := bytes.Cut(page, []byte(begin))
	_, after, closed := bytes.Cut(rest, []byte(end))
	if !ok || !closed {
		return errors.New(path + " lacks the markers of row " + row + ": " + begin + " … " + end)
	}
	return os.WriteFile(path, fmt.Appendf(nil, "%s%s\n\n%s\n%s%s", before, begin, text, end, after), 0o644)
}
