package cli

import (
	"fmt"
	"slices"
	"strings"

	"github.com/droverhq/drover/api/resource"
)

// changesText returns the changes of one resource, one per line, indented by four columns. A changed text is followed by
// its unified diff.
func changesText(deltas []resource.Delta) string {
	var b strings.Builder
	for _, d := range deltas {
		path := strings.TrimPrefix(d.Path, "spec.")
		switch {
		case d.Op == resource.Added:
			path = "+ " + path
		case d.Op == resource.Removed:
			path = "- " + path
		}
		value := d.From + d.To
		if d.Op == resource.Changed {
			value = d.From + " → " + d.To
		}
		if d.Lines != nil {
			value = ""
		}
		fmt.Fprintln(&b, strings.TrimRight("    "+path+"   "+value, " "))
		for _, line := range diffLines(d.Lines) {
			fmt.Fprintln(&b, "      "+line)
		}
		if d.More > 0 {
			fmt.Fprintf(&b, "      … and %s\n", plural(d.More, "more line"))
		}
	}
	return b.String()
}

// diffLines returns the lines of a unified diff with a blank after the sign. A diff whose only hunk begins at the first
// line needs no header.
func diffLines(lines []string) (shown []string) {
	isHunk := func(line string) bool { return strings.HasPrefix(line, "@@ ") }
	fromStart := len(lines) > 0 && (strings.HasPrefix(lines[0], "@@ -1,") || strings.HasPrefix(lines[0], "@@ -0,"))
	if fromStart && !slices.ContainsFunc(lines[1:], isHunk) {
		lines = lines[1:]
	}
	for _, line := range lines {
		if isHunk(line) || line == "" {
			shown = append(shown, line)
		} else {
			shown = append(shown, line[:1]+" "+line[1:])
		}
	}
	return shown
}
