package run

import (
	"bytes"
	"strings"
	"unicode"
)

// oneLineBytes bounds the detail of a report.
const oneLineBytes = 500

// keptLineBytes bounds the part of a line that LastLine retains. It exceeds oneLineBytes, so that OneLine marks a
// line that was cut.
const keptLineBytes = 2 * oneLineBytes

// LastLine is a writer that retains the last line of its input as a terminal would show it: without escape sequences,
// and with the last state of a line that carriage returns overwrite, such as a progress bar.
type LastLine struct {
	line   []byte // the beginning of the line that is not terminated yet
	last   []byte // the last terminated line that is not blank
	open   bool
	escape escape
}

// Write reads p. It reads only the last lines of a large p if they contain text, because a step can print gigabytes.
func (l *LastLine) Write(p []byte) (int, error) {
	if tail := lastLines(p); len(tail) < len(p) {
		var end LastLine
		end.read(tail)
		if end.String() != "" {
			*l = end
			return len(p), nil
		}
	}
	l.read(p)
	return len(p), nil
}

// lastLines returns complete lines from the end of p, or all of p if it is short or has no line break.
func lastLines(p []byte) []byte {
	before := max(0, len(p)-keptLineBytes)
	return p[bytes.LastIndexByte(p[:before], '\n')+1:]
}

func (l *LastLine) read(p []byte) {
	for at := 0; at < len(p); {
		if run := l.plain(p[at:]); run > 0 {
			l.keep(p[at : at+run])
			at += run
			continue
		}
		l.control(p[at])
		at++
	}
	if len(p) > 0 {
		l.open = p[len(p)-1] != '\n'
	}
}

// plain returns the length of the text at the beginning of p up to the next character that control reads. It looks at a
// bounded part of p, so that the cost of a Write is linear.
func (l *LastLine) plain(p []byte) int {
	if l.escape != noEscape {
		return 0
	}
	p = p[:min(len(p), keptLineBytes)]
	for _, c := range []byte{'\n', '\r', escapeKey} {
		if at := bytes.IndexByte(p, c); at >= 0 {
			p = p[:at]
		}
	}
	return len(p)
}

func (l *LastLine) keep(text []byte) {
	l.line = append(l.line, text[:min(len(text), keptLineBytes-len(l.line))]...)
}

// control reads the end of a line or a byte of an escape sequence. The end of a line also ends an incomplete
// sequence, so that it hides at most one line.
func (l *LastLine) control(c byte) {
	if c != '\n' && c != '\r' {
		l.escape = l.escape.next(c)
		return
	}
	l.escape = noEscape
	if len(bytes.TrimSpace(l.line)) > 0 {
		l.last = append(l.last[:0], l.line...)
	}
	l.line = l.line[:0]
}

// Open reports whether the last line is not terminated yet.
func (l *LastLine) Open() bool { return l.open }

// String returns the last line that is not blank, as OneLine formats it.
func (l *LastLine) String() string {
	if line := OneLine(string(l.line)); line != "" {
		return line
	}
	return OneLine(string(l.last))
}

// escape is the state of an escape sequence of ECMA-48 after some of its bytes.
type escape int

const (
	noEscape      escape = iota
	escapeStarted        // after ESC and intermediate bytes
	escapeCSI            // after ESC [ : parameters up to a final byte, such as those of a colour
	escapeString         // after ESC ] and similar: a text up to BEL or ESC \, such as a title or a link
	escapeStringEnd
)

const (
	bell      = 0x07
	escapeKey = 0x1b
)

// next returns the state after another byte.
func (e escape) next(c byte) escape {
	switch {
	case e == escapeString && c == bell, e == escapeStringEnd && c == '\\':
		return noEscape
	case e == escapeString && c == escapeKey:
		return escapeStringEnd
	case e == escapeString:
		return escapeString
	case c == escapeKey:
		return escapeStarted
	case e == escapeCSI && (c < '@' || c > '~'):
		return escapeCSI
	case e == escapeStarted && c == '[':
		return escapeCSI
	case e == escapeStarted && strings.IndexByte("]PX^_", c) >= 0:
		return escapeString
	case e == escapeStarted && c < '0':
		return escapeStarted
	}
	return noEscape
}

// OneLine returns text as one line of valid UTF-8 of at most 500 bytes without control characters.
func OneLine(text string) string {
	text = strings.Map(func(c rune) rune {
		if unicode.IsControl(c) {
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
