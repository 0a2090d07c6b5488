package strictyaml

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"unicode"
)

// MaxProblems is the largest number of problems that are reported at once.
const MaxProblems = 20

const (
	maxReason = 500 // characters of a reason
	maxQuote  = 160 // characters of a line that are quoted around the caret
)

// shorten cuts a reason to maxReason characters.
func shorten(reason string) string {
	if runes := []rune(reason); len(runes) > maxReason {
		return string(runes[:maxReason]) + "…"
	}
	return reason
}

// Problem is one error in the input, with its location.
type Problem struct {
	File   string `json:"file"`
	Line   int    `json:"line"`   // from 1; 0 means the whole file
	Column int    `json:"column"` // in characters, from 1
	// Reason is one sentence without a full stop.
	Reason string `json:"reason"`
	// Hint states what to do instead; it may be empty.
	Hint string `json:"hint,omitempty"`
	// Quote is the line, or the part of it near the location. It is empty if there is no line to show.
	Quote string `json:"quote,omitempty"`
	// Caret is the index of the location within Quote, in characters.
	Caret int `json:"caret,omitempty"`
}

// Error returns the location, the reason and the hint, followed by the line with a caret.
func (p Problem) Error() string {
	var b strings.Builder
	b.WriteString(p.File)
	if p.Line > 0 {
		fmt.Fprintf(&b, ":%d:%d", p.Line, p.Column)
	}
	b.WriteString(": " + p.Reason)
	if p.Hint != "" {
		b.WriteString(" (" + p.Hint + ")")
	}
	if p.Quote != "" {
		number := fmt.Sprint(p.Line)
		fmt.Fprintf(
			&b,
			"\n  %s | %s\n  %s | %s^",
			number,
			p.Quote,
			strings.Repeat(" ", len(number)),
			strings.Repeat(" ", p.Caret),
		)
	}
	return b.String()
}

// Problems is a list of problems as one error.
type Problems []Problem

// Error lists the problems. If the limit was reached, it adds that there may be more.
func (ps Problems) Error() string {
	texts := make([]string, len(ps), len(ps)+1)
	for i, p := range ps {
		texts[i] = p.Error()
	}
	if len(ps) >= MaxProblems {
		texts = append(texts, fmt.Sprintf("the first %d problems are shown; there may be more", MaxProblems))
	}
	return strings.Join(texts, "\n")
}

// Findings collects up to MaxProblems problems. The zero value is empty.
type Findings struct{ list Problems }

// Add adds a problem, unless there are already MaxProblems.
func (f *Findings) Add(p Problem) {
	if !f.Full() {
		f.list = append(f.list, p)
	}
}

// report adds a problem at a location. It returns early when there are enough problems, because quoting the line takes
// time.
func (f *Findings) report(s *Source, at Location, reason, hint string) {
	if !f.Full() {
		f.list = append(f.list, s.Problem(at, reason, hint))
	}
}

// Full reports whether further problems would be dropped.
func (f *Findings) Full() bool { return len(f.list) >= MaxProblems }

// Err returns the problems as an error, or nil without problems.
func (f *Findings) Err() error {
	if len(f.list) == 0 {
		return nil
	}
	return f.Sorted()
}

// Sorted returns the problems in the order of the text, files in the order in which they were read.
func (f *Findings) Sorted() Problems {
	order := map[string]int{}
	for _, p := range f.list {
		if _, ok := order[p.File]; !ok {
			order[p.File] = len(order)
		}
	}
	slices.SortStableFunc(f.list, func(a, b Problem) int {
		return cmp.Or(order[a.File]-order[b.File], a.Line-b.Line, a.Column-b.Column)
	})
	return f.list
}

// quote cuts a line to maxQuote characters around the column and returns the column within the result. Characters that
// would move a terminal's cursor are shown as a dot.
func quote(line string, column int) (text string, caret int) {
	runes := []rune(line)
	caret = min(max(column-1, 0), len(runes))
	start := 0
	if len(runes) > maxQuote {
		start = min(max(caret-maxQuote/2, 0), len(runes)-maxQuote)
		runes = runes[start : start+maxQuote]
	}
	for i, r := range runes {
		switch {
		case r == '\t':
			runes[i] = ' '
		case !unicode.IsPrint(r):
			runes[i] = '·'
		}
	}
	return string(runes), caret - start
}
