package cli

import (
	"fmt"
	"strings"

	"github.com/droverhq/drover/explain"
)

// whyText is an answer to `why` as people read it.
func whyText(w explain.Why) string {
	var b strings.Builder
	actual := orNothing(w.Actual)
	if w.Dirty {
		actual += " (a later attempt did not succeed)"
	}
	fmt.Fprintf(&b, "machine %s, project %s, at #%s\n", w.Machine, w.Project, w.At)
	fmt.Fprintf(&b, "  wanted   %s\n  actual   %s\n  verdict  %s %s\n", orNothing(w.Wanted), actual, w.Verdict, w.Reason)
	if w.Sentence != "" {
		fmt.Fprintf(&b, "           %s\n", oneLine(w.Sentence))
	}
	for i, cause := range w.Causes {
		label := "because"
		if i > 0 {
			label = ""
		}
		fmt.Fprintf(&b, "  %-8s %s\n", label, cause)
	}
	for i, h := range w.History {
		if i == 0 {
			b.WriteString("  history\n")
		}
		fmt.Fprintf(&b, "    %-6s %s  %s\n", "#"+h.Position, h.Time.UTC().Format("2006-01-02 15:04:05Z"), oneLine(h.Text))
	}
	return b.String()
}

func orNothing(release string) string {
	if release == "" {
		return "nothing"
	}
	return release
}
