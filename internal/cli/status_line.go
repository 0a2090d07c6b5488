package cli

import (
	"fmt"
	"io"
	"strings"

	"github.com/droverhq/drover/explain"
)

// statusLine is a writer for messages that keeps one updated line below them, at the end of a terminal.
type statusLine struct {
	to   io.Writer // the terminal
	line string    // as shown, without control characters; empty while nothing is shown
}

// newStatusLine returns a status line, or nil if messages do not go to a terminal that supports one.
func newStatusLine(to io.Writer) *statusLine {
	if !isTerminal(to) || !supportsEscapes() {
		return nil
	}
	return &statusLine{to: to}
}

// eraseLine moves the cursor to the first column and erases the line.
const eraseLine = "\r\x1b[K"

// Write writes messages above the line.
func (s *statusLine) Write(p []byte) (int, error) {
	if s.line == "" {
		return s.to.Write(p)
	}
	if _, err := io.WriteString(s.to, eraseLine); err != nil {
		return 0, err
	}
	n, err := s.to.Write(p)
	if err == nil && strings.HasSuffix(string(p), "\n") {
		_, err = io.WriteString(s.to, s.line)
	}
	return n, err
}

// show replaces the line. It is cut to the width of the terminal, so that it stays one line; a bar takes the columns
// that the text leaves free.
func (s *statusLine) show(text string, ended, total int) {
	columns, _ := terminalSize(s.to)
	text = explain.Line(text)
	if columns != explain.Unlimited {
		columns-- // a character in the last column could wrap
		if free := min(columns-explain.Columns(text)-gap, maxBar); free >= minBar && total > 0 {
			text = bar(free, ended, total) + strings.Repeat(" ", gap) + text
		}
		text = explain.Cut(text, columns)
	}
	if text != s.line {
		s.line = text
		fmt.Fprint(s.to, eraseLine+text)
	}
}

// The width of the bar before the status line.
const minBar, maxBar = 10, 40

// clear removes the line.
func (s *statusLine) clear() {
	if s != nil && s.line != "" {
		s.line = ""
		fmt.Fprint(s.to, eraseLine)
	}
}
