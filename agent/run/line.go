package run

import (
	"bytes"
	"strings"
)

// oneLineBytes bounds the detail of a report.
const oneLineBytes = 500

// LastLine is a writer that retains the end of its input.
type LastLine struct{ end []byte }

// Write stores the end of p.
func (l *LastLine) Write(p []byte) (int, error) {
	keep := p[max(0, len(p)-2*oneLineBytes):]
	l.end = append(l.end, keep...)
	if over := len(l.end) - 2*oneLineBytes; over > 0 {
		l.end = append(l.end[:0], l.end[over:]...)
	}
	return len(p), nil
}

// Open reports whether the last line is not terminated yet.
func (l *LastLine) Open() bool { return len(l.end) > 0 && l.end[len(l.end)-1] != '\n' }

// String returns the last line that is not empty, as OneLine formats it.
func (l *LastLine) String() string {
	trimmed := bytes.TrimSpace(l.end)
	return OneLine(string(trimmed[bytes.LastIndexByte(trimmed, '\n')+1:]))
}

// OneLine returns text as one line of valid UTF-8 of at most 500 bytes.
func OneLine(text string) string {
	text = strings.Map(func(c rune) rune {
		if c < ' ' {
			return ' '
		}
		return c
	}, strings.ToValidUTF8(text, "\uFFFD"))
	text = strings.TrimSpace(text)
	if len(text) > oneLineBytes {
		text = strings.ToValidUTF8(text[:oneLineBytes-len("…")], "") + "…"
	}
	return text
}
