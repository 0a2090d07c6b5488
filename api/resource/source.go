package resource

import (
	"bytes"
	"fmt"
	"sort"
	"strings"
	"unicode/utf8"
)

// Bounds of the input.
const (
	MaxInputBytes    = 8 << 20 // of one file
	MaxDocumentBytes = 1 << 20 // of one document in it
	maxTokens        = 20_000  // of one document; the parser's time grows with their square
	maxDepth         = 50
	maxValues        = 20_000 // of one document, aliases expanded
)

// source is the text of one file, with line ends of one kind.
type source struct {
	name  string
	text  string
	lines []int // where each line begins
}

// place is a line and a column, both from 1 and in characters.
type place struct{ line, column int }

// newSource refuses what is no text, at the first byte that is none.
func newSource(name string, data []byte) (*source, *Problem) {
	s := &source{name: name}
	if len(data) > MaxInputBytes {
		return s, s.whole("the input is longer than 8 MiB", "split it into several files")
	}
	if bytes.HasPrefix(data, []byte("\xff\xfe")) || bytes.HasPrefix(data, []byte("\xfe\xff")) {
		return s, s.whole("the input is UTF-16", "save it as UTF-8")
	}
	text := strings.TrimPrefix(string(data), "\ufeff")
	if strings.ContainsRune(text, '\r') {
		text = strings.ReplaceAll(strings.ReplaceAll(text, "\r\n", "\n"), "\r", "\n")
	}
	s.text = text
	s.index()
	if at := notText(text); at >= 0 {
		p := s.problem(s.placeOf(at), fmt.Sprintf("invalid byte 0x%02x", text[at]), "a file holds YAML or JSON in UTF-8")
		p.Quote = ""
		return s, &p
	}
	return s, nil
}

// notText is the offset of the first byte that is not UTF-8, or is a control character; -1 for none.
func notText(text string) int {
	for i, r := range text {
		if r == utf8.RuneError && !strings.HasPrefix(text[i:], "\uFFFD") {
			return i
		}
		if r < ' ' && r != '\n' && r != '\t' || r == 0x7f {
			return i
		}
	}
	return -1
}

func (s *source) index() {
	s.lines = []int{0}
	for i := 0; i < len(s.text); i++ {
		if s.text[i] == '\n' {
			s.lines = append(s.lines, i+1)
		}
	}
}

// line is the text of a line without its end; empty where there is none.
func (s *source) line(number int) string {
	if number < 1 || number > len(s.lines) {
		return ""
	}
	line, _, _ := strings.Cut(s.text[s.lines[number-1]:], "\n")
	return line
}

// placeOf turns a byte offset into a place.
func (s *source) placeOf(offset int) place {
	line := sort.SearchInts(s.lines, offset+1)
	return place{line, utf8.RuneCountInString(s.text[s.lines[line-1]:offset]) + 1}
}

// problem is a sentence about a place in the text.
func (s *source) problem(at place, reason, hint string) Problem {
	p := Problem{File: s.name, Line: at.line, Column: at.column, Reason: told(reason), Hint: hint}
	p.Quote, p.Caret = quote(s.line(at.line), at.column)
	return p
}

// whole is a sentence about the file as such.
func (s *source) whole(reason, hint string) *Problem {
	return &Problem{File: s.name, Reason: reason, Hint: hint}
}
