package run

import (
	"bytes"
	"strings"
)

// sentenceBytes bounds a detail in a report.
const sentenceBytes = 500

// LastLine is a writer that remembers the end of what was written to it.
type LastLine struct{ end []byte }

// Write remembers the end of p.
func (l *LastLine) Write(p []byte) (int, error) {
	keep := p[max(0, len(p)-2*sentenceBytes):]
	l.end = append(l.end, keep...)
	if over := len(l.end) - 2*sentenceBytes; over > 0 {
		l.end = append(l.end[:0], l.end[over:]...)
	}
	return len(p), nil
}

// Open reports whether the last line has no end yet.
func (l *LastLine) Open() bool { return len(l.end) > 0 && l.end[len(l.end)-1] != '\n' }

// String is the last line that is not empty, fit for a report.
func (l *LastLine) String() string {
	trimmed := bytes.TrimSpace(l.end)
	return Sentence(string(trimmed[bytes.LastIndexByte(trimmed, '\n')+1:]))
}

// Sentence makes text fit for a report: valid UTF-8, at most 500 bytes, one line.
func Sentence(text string) string {
	text = strings.Map(func(c rune) rune {
		if c < ' ' {
			return ' '
		}
		return c
	}, strings.ToValidUTF8(text, "\uFFFD"))
	text = strings.TrimSpace(text)
	if len(text) > sentenceBytes {
		text = strings.ToValidUTF8(text[:sentenceBytes-len("…")], "") + "…"
	}
	return text
}
