package resource

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"unicode"
)

// MaxProblems is how many problems are told at once.
const MaxProblems = 20

// maxReason bounds a reason in characters: the YAML parser's own sentences quote as much of the text as there is.
const maxReason = 500

// told is a reason as people are shown it.
func told(reason string) string {
	if runes := []rune(reason); len(runes) > maxReason {
		return string(runes[:maxReason]) + "…"
	}
	return reason
}

// maxQuote is how many characters of a line are quoted around the caret.
const maxQuote = 160

// Problem is one thing that is wrong with the input, and where.
type Problem struct {
	File   string `json:"file"`
	Line   int    `json:"line"`   // from 1; 0: the file as a whole
	Column int    `json:"column"` // in characters, from 1
	// Reason is one sentence without a full stop.
	Reason string `json:"reason"`
	// Hint says what to do instead; may be empty.
	Hint string `json:"hint,omitempty"`
	// Quote is the line, or what of it is near the place; empty when there is no line to show.
	Quote string `json:"quote,omitempty"`
	// Caret is the place within Quote in characters, from 0.
	Caret int `json:"caret,omitempty"`
}

// Error is the problem as people read it: place, sentence, hint, and the line with a caret below.
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
		fmt.Fprintf(&b, "\n  %s | %s\n  %s | %s^", number, p.Quote, strings.Repeat(" ", len(number)), strings.Repeat(" ", p.Caret))
	}
	return b.String()
}

// Problems is the error that Read and Load return for input that is wrong.
type Problems []Problem

// Error lists the problems, and says when there may be more.
func (ps Problems) Error() string {
	texts := make([]string, len(ps), len(ps)+1)
	for i, p := range ps {
		texts[i] = p.Error()
	}
	if len(ps) >= MaxProblems {
		texts = append(texts, fmt.Sprintf("the first %d problems are shown, there may be more", MaxProblems))
	}
	return strings.Join(texts, "\n")
}

// findings collects problems up to the bound.
type findings struct{ list Problems }

func (f *findings) add(p Problem) {
	if !f.full() {
		f.list = append(f.list, p)
	}
}

func (f *findings) full() bool { return len(f.list) >= MaxProblems }

// err is nil for none: a nil Problems in an error would not be.
func (f *findings) err() error {
	if len(f.list) == 0 {
		return nil
	}
	return f.sorted()
}

// sorted is the problems in the order of the text, files in the order they were read.
func (f *findings) sorted() Problems {
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

// quote cuts a line to maxQuote characters around the column, and says where the column is then.
// What would move a terminal's cursor is shown as a dot.
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

// nearest is the known name that is most like word, or empty when none is much like it.
func nearest(word string, known []string) string {
	best, least := "", min(3, max(1, len(word)/3))+1
	for _, name := range known {
		if d := distance(strings.ToLower(word), strings.ToLower(name)); d < least {
			best, least = name, d
		}
	}
	if best == "" && len(word) >= 3 {
		for _, name := range known {
			if strings.HasPrefix(strings.ToLower(name), strings.ToLower(word)) {
				return name
			}
		}
	}
	return best
}

// distance counts the letters to insert, drop, replace or swap; far words are far without counting.
func distance(a, b string) int {
	if len(a) > len(b)+3 || len(b) > len(a)+3 {
		return 4
	}
	before, last, row := make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range last {
		last[j] = j
	}
	for i := 1; i <= len(a); i++ {
		row[0] = i
		for j := 1; j <= len(b); j++ {
			same := 1
			if a[i-1] == b[j-1] {
				same = 0
			}
			row[j] = min(last[j]+1, row[j-1]+1, last[j-1]+same)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
		}
		before, last, row = last, row, before
	}
	return last[len(b)]
}

// didYouMean is the hint for an unknown name.
func didYouMean(word string, known []string) string {
	if name := nearest(word, known); name != "" {
		return fmt.Sprintf("did you mean %q?", name)
	}
	if len(known) == 0 {
		return ""
	}
	return "known here: " + strings.Join(known, ", ")
}

// sorted is names in their order, for messages that are the same each time.
func sorted(names []string) []string {
	slices.Sort(names)
	return names
}
