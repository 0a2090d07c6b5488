package scenario

import (
	"fmt"
	"strings"
)

// edit is one step from the expected lines to the actual lines. want or got is -1 if the step has no such line.
type edit struct{ want, got int }

// Costs of edits. A line is rather replaced by a line with the same first words than removed, so that an update never
// loses an expectation next to a gap.
const (
	sameTwoWords = 2
	sameOneWord  = 3
	oneLine      = 3 // added or removed
	otherLine    = 2 * oneLine
)

// maxCells bounds the table of an alignment. Longer texts are compared only from both ends.
const maxCells = 1_000_000

// align returns the edits with the lowest costs.
func align(want, got []string) []edit {
	m := &matcher{}
	first, last := 0, 0
	for first < len(want) && first < len(got) && !isGap(want[first]) && m.line(want[first], got[first]) {
		first++
	}
	for last < len(want)-first && last < len(got)-first && !isGap(want[len(want)-1-last]) &&
		m.line(want[len(want)-1-last], got[len(got)-1-last]) {
		last++
	}
	var edits []edit
	for i := range first {
		edits = append(edits, edit{i, i})
	}
	for _, e := range alignMiddle(m, want[first:len(want)-last], got[first:len(got)-last]) {
		edits = append(edits, edit{shifted(e.want, first), shifted(e.got, first)})
	}
	for i := last; i > 0; i-- {
		edits = append(edits, edit{len(want) - i, len(got) - i})
	}
	return edits
}

func shifted(index, by int) int {
	if index < 0 {
		return index
	}
	return index + by
}

func alignMiddle(m *matcher, want, got []string) []edit {
	if (len(want)+1)*(len(got)+1) > maxCells {
		return replaceAll(len(want), len(got))
	}
	t := newTable(m, want, got)
	var edits []edit
	for i, j := 0, 0; i < len(want) || j < len(got); {
		e := t.best(i, j)
		edits = append(edits, e)
		if e.want >= 0 && (e.got < 0 || !isGap(want[i])) {
			i++
		}
		if e.got >= 0 {
			j++
		}
	}
	return edits
}

// replaceAll removes all expected lines and adds all actual lines.
func replaceAll(want, got int) (edits []edit) {
	for i := range want {
		edits = append(edits, edit{i, -1})
	}
	for j := range got {
		edits = append(edits, edit{-1, j})
	}
	return edits
}

// table holds the lowest cost from each pair of indexes to the end of both texts.
type table struct {
	m                   *matcher
	want, got           []string
	wantWords, gotWords [][2]string // the first words of each line
	cost                [][]int32
}

func newTable(m *matcher, want, got []string) *table {
	t := &table{m: m, want: want, got: got, wantWords: firstWords(want), gotWords: firstWords(got),
		cost: make([][]int32, len(want)+1)}
	for i := len(want); i >= 0; i-- {
		t.cost[i] = make([]int32, len(got)+1)
		for j := len(got); j >= 0; j-- {
			if i < len(want) || j < len(got) {
				t.cost[i][j] = t.costOf(t.best(i, j), i, j)
			}
		}
	}
	return t
}

// best returns the cheapest edit at a pair of indexes: a replacement rather than a removal, a removal rather than an
// addition.
func (t *table) best(i, j int) edit {
	var options []edit
	switch {
	case i == len(t.want):
		return edit{-1, j}
	case j == len(t.got):
		return edit{i, -1}
	case isGap(t.want[i]):
		options = []edit{{i, -1}, {i, j}}
	default:
		options = []edit{{i, j}, {i, -1}, {-1, j}}
	}
	best := options[0]
	for _, option := range options[1:] {
		if t.costOf(option, i, j) < t.costOf(best, i, j) {
			best = option
		}
	}
	return best
}

// costOf returns the cost of an edit at a pair of indexes and of all that follow.
func (t *table) costOf(e edit, i, j int) int32 {
	switch {
	case i < len(t.want) && isGap(t.want[i]) && e.want >= 0: // a gap is passed, or takes one more line
		if e.got < 0 {
			return t.cost[i+1][j]
		}
		return t.cost[i][j+1]
	case e.want < 0:
		return oneLine + t.cost[i][j+1]
	case e.got < 0:
		return oneLine + t.cost[i+1][j]
	}
	return t.replaced(i, j) + t.cost[i+1][j+1]
}

// replaced returns the cost of one expected and one actual line; 0 if they match.
func (t *table) replaced(i, j int) int32 {
	if t.m.line(t.want[i], t.got[j]) {
		return 0
	}
	want, got := t.wantWords[i], t.gotWords[j]
	switch {
	case want[0] != got[0]:
		return otherLine
	case want[1] != got[1]:
		return sameOneWord
	}
	return sameTwoWords
}

// firstWords returns the first two words of each line.
func firstWords(lines []string) [][2]string {
	all := make([][2]string, len(lines))
	for i, text := range lines {
		copy(all[i][:], strings.Fields(text))
	}
	return all
}

// difference compares two outputs: - marks expected lines, + marks actual lines. Lines that match are not marked, and a
// gap is printed once for the lines that it stands for. Of many equal lines only the first and the last are printed.
func difference(want, got []string) []string {
	d := &printedDiff{}
	for _, e := range align(want, got) {
		switch {
		case e.want >= 0 && isGap(want[e.want]):
			if e.got < 0 { // the edit that passes the gap follows those for its lines
				d.same(wildcard)
			}
		case e.want >= 0 && e.got >= 0 && lineMatches(want[e.want], got[e.got]):
			d.same(got[e.got])
		default:
			if e.want >= 0 {
				d.removed = append(d.removed, "- "+want[e.want])
			}
			if e.got >= 0 {
				d.added = append(d.added, "+ "+got[e.got])
			}
		}
	}
	d.flush()
	d.shorten()
	return d.lines
}

// contextLines is how many equal lines are printed on each side of a difference.
const contextLines = 5

// printedDiff collects the lines of a comparison.
type printedDiff struct {
	lines, removed, added []string
	equal                 int // how many of the last lines are equal lines
}

// flush adds pending lines: the removed ones, then the added ones.
func (d *printedDiff) flush() {
	if len(d.removed)+len(d.added) > 0 {
		d.shorten()
	}
	d.lines = append(append(d.lines, d.removed...), d.added...)
	d.removed, d.added = nil, nil
}

func (d *printedDiff) same(text string) {
	d.flush()
	d.lines = append(d.lines, "  "+text)
	d.equal++
}

// shorten replaces the middle of the last equal lines with their number.
func (d *printedDiff) shorten() {
	equal := d.lines[len(d.lines)-d.equal:]
	if hidden := d.equal - 2*contextLines; hidden > 1 {
		last := append([]string{fmt.Sprintf("  (%d equal lines)", hidden)}, equal[d.equal-contextLines:]...)
		d.lines = append(d.lines[:len(d.lines)-d.equal+contextLines], last...)
	}
	d.equal = 0
}

// merged returns actual output in which expected lines with wildcards that match are kept.
func merged(want, got []string) []string {
	var lines []string
	for _, e := range align(want, got) {
		switch {
		case e.want >= 0 && isGap(want[e.want]):
			if e.got < 0 && (len(lines) == 0 || !isGap(lines[len(lines)-1])) {
				lines = append(lines, want[e.want])
			}
		case e.got < 0:
		case e.want >= 0 && lineMatches(want[e.want], got[e.got]):
			lines = append(lines, want[e.want])
		default:
			lines = append(lines, got[e.got])
		}
	}
	return lines
}
