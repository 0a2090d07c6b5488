package scenario

import (
	"slices"
	"strings"
)

// wildcard stands for any text in an expected line. A line that consists of it stands for any number of lines.
const wildcard = "…"

// isGap reports whether an expected line stands for any number of lines.
func isGap(want string) bool { return strings.TrimSpace(want) == wildcard }

// lineMatches reports whether a line has the expected form.
func lineMatches(want, got string) bool {
	pieces := strings.Split(want, wildcard)
	first, last := pieces[0], pieces[len(pieces)-1]
	if len(pieces) == 1 {
		return want == got
	}
	if len(got) < len(first)+len(last) || !strings.HasPrefix(got, first) || !strings.HasSuffix(got, last) {
		return false
	}
	got = got[len(first) : len(got)-len(last)]
	for _, piece := range pieces[1 : len(pieces)-1] {
		i := strings.Index(got, piece)
		if i < 0 {
			return false
		}
		got = got[i+len(piece):]
	}
	return true
}

// maxComparisons bounds the work of matching one block.
const maxComparisons = 5_000_000

// matcher compares lines. After maxComparisons, all lines are different.
type matcher struct{ comparisons int }

func (m *matcher) line(want, got string) bool {
	m.comparisons++
	return !m.exhausted() && lineMatches(want, got)
}

func (m *matcher) exhausted() bool { return m.comparisons > maxComparisons }

// lines reports whether output has the expected form. Between two gaps, the first place that matches is enough.
func (m *matcher) lines(want, got []string) bool {
	groups := splitAtGaps(want)
	first, last := groups[0], groups[len(groups)-1]
	if len(groups) == 1 {
		return len(want) == len(got) && m.begins(want, got)
	}
	if len(got) < len(first)+len(last) || !m.begins(first, got) || !m.begins(last, got[len(got)-len(last):]) {
		return false
	}
	got = got[len(first) : len(got)-len(last)]
	for _, group := range groups[1 : len(groups)-1] {
		for !m.begins(group, got) {
			if len(got) == 0 || m.exhausted() {
				return false
			}
			got = got[1:]
		}
		got = got[len(group):]
	}
	return true
}

// begins reports whether output begins with lines of the expected forms, which contain no gap.
func (m *matcher) begins(want, got []string) bool {
	if len(got) < len(want) {
		return false
	}
	for i, text := range want {
		if !m.line(text, got[i]) {
			return false
		}
	}
	return true
}

// splitAtGaps returns the groups of lines before, between and after the gaps.
func splitAtGaps(want []string) [][]string {
	groups := [][]string{nil}
	for _, text := range want {
		if isGap(text) {
			groups = append(groups, nil)
			continue
		}
		groups[len(groups)-1] = append(groups[len(groups)-1], text)
	}
	return groups
}

// plannedPrefix is the beginning of a line that shows what a paused tick is about to write.
const plannedPrefix = "write    "

func isPlanned(text string) bool {
	_, after, _ := strings.Cut(text, "  ") // several servers: the line begins with the server
	return strings.HasPrefix(text, plannedPrefix) || strings.HasPrefix(after, plannedPrefix)
}

// compared returns the lines of an output that are compared with the expected lines. Planned events are compared only
// if some are expected: files from before drover printed them stay valid.
func compared(want, got []string) []string {
	if len(want) == 0 || slices.ContainsFunc(want, isPlanned) {
		return got
	}
	return slices.DeleteFunc(slices.Clone(got), isPlanned)
}
