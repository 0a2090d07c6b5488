package strictyaml

import (
	"bytes"
	"fmt"
	"sort"
	"strings"
	"unicode/utf8"
)

// Limits of the input.
const (
	MaxInputBytes    = 8 << 20 // of one file
	MaxDocumentBytes = 1 << 20 // of one document in it
	maxTokens        = 20_000  // of one document; the parser's time grows with their square
	maxDepth         = 50
	maxValues        = 20_000 // of one document, aliases expanded
)

// Source is the text of one file. Its lines end with line feeds.
type Source struct {
	Name  string
	text  string
	lines []int // offset of each line
}

// Location is a line and a column, both from 1 and in characters.
type Location struct{ Line, Column int }

// NewSource returns the text of a file. It rejects input that is too long, or not printable UTF-8 text.
func NewSource(name string, data []byte) (*Source, *Problem) {
	s := &Source{Name: name}
	if len(data) > MaxInputBytes {
		return s, &Problem{File: name, Reason: "the input is longer than 8 MiB", Hint: "split it into several files"}
	}
	if bytes.HasPrefix(data, []byte("\xff\xfe")) || bytes.HasPrefix(data, []byte("\xfe\xff")) {
		return s, &Problem{File: name, Reason: "the input is UTF-16", Hint: "save it as UTF-8"}
	}
	s.text = strings.NewReplacer("\r\n", "\n", "\r", "\n").Replace(strings.TrimPrefix(string(data), "\ufeff"))
	s.lines = []int{0}
	for i := range len(s.text) {
		if s.text[i] == '\n' {
			s.lines = append(s.lines, i+1)
		}
	}
	if at := notText(s.text); at >= 0 {
		p := s.Problem(s.location(at), fmt.Sprintf("invalid byte 0x%02x", s.text[at]), "use YAML or JSON in UTF-8")
		p.Quote = ""
		return s, &p
	}
	return s, nil
}

// notText returns the offset of the first byte that is not UTF-8 or is a control character, or -1.
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

// line returns the text of a line without its end, or "" if there is no such line.
func (s *Source) line(number int) string {
	if number < 1 || number > len(s.lines) {
		return ""
	}
	line, _, _ := strings.Cut(s.text[s.lines[number-1]:], "\n")
	return line
}

// location returns the location of a byte offset.
func (s *Source) location(offset int) Location {
	line := sort.SearchInts(s.lines, offset+1)
	return Location{line, utf8.RuneCountInString(s.text[s.lines[line-1]:offset]) + 1}
}

// Problem returns a problem at a location, with the line quoted.
func (s *Source) Problem(at Location, reason, hint string) Problem {
	p := Problem{File: s.Name, Line: at.Line, Column: at.Column, Reason: shorten(reason), Hint: hint}
	p.Quote, p.Caret = quote(s.line(at.Line), at.Column)
	return p
}
