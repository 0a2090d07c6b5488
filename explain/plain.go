package explain

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"

	"golang.org/x/text/width"
)

// Text escapes untrusted text for a terminal, such as names, reasons and the output of steps. Line ends and tabs stay.
// Everything that a terminal would interpret or hide is shown as \u001b or \xff: escape sequences, control characters,
// marks that change the direction of writing, and invalid UTF-8. All output to a terminal must pass through Text.
func Text(text string) string {
	if strings.IndexFunc(text, unprintable) < 0 && utf8.ValidString(text) {
		return text
	}
	var b strings.Builder
	for at := 0; at < len(text); {
		r, size := utf8.DecodeRuneInString(text[at:])
		next := at + size
		switch {
		case r == utf8.RuneError && size <= 1:
			fmt.Fprintf(&b, `\x%02x`, text[at])
		case r == '\r':
			if !strings.HasPrefix(text[at:], "\r\n") {
				b.WriteByte('\n') // otherwise the text would overwrite the beginning of the line
			}
		case unicode.Is(unicode.Zs, r):
			b.WriteByte(' ')
		case !unprintable(r):
			b.WriteRune(r)
		case r > 0xffff:
			high, low := utf16.EncodeRune(r) // as JSON does, because the text may be part of a JSON document
			fmt.Fprintf(&b, `\u%04x\u%04x`, high, low)
		default:
			fmt.Fprintf(&b, `\u%04x`, r)
		}
		at = next
	}
	return b.String()
}

func unprintable(r rune) bool { return r != '\n' && r != '\t' && !unicode.IsPrint(r) }

// Line is Text in one line.
func Line(text string) string {
	return strings.Map(func(r rune) rune {
		if r == '\n' || r == '\t' {
			return ' '
		}
		return r
	}, Text(text))
}

// Columns is how many columns of a terminal a line takes.
func Columns(line string) (columns int) {
	for _, r := range line {
		columns += columnsOf(r)
	}
	return columns
}

func columnsOf(r rune) int {
	switch {
	case unicode.In(r, unicode.Mn, unicode.Me):
		return 0 // drawn onto the one before
	case r < 0x1100:
		return 1
	}
	if kind := width.LookupRune(r).Kind(); kind == width.EastAsianWide || kind == width.EastAsianFullwidth {
		return 2
	}
	return 1
}

// Cut shortens a line to a number of columns and ends a shortened line with an ellipsis.
func Cut(line string, columns int) string {
	if Columns(line) <= columns {
		return line
	}
	taken := 0
	for at, r := range line {
		if taken += columnsOf(r); taken > columns-1 {
			return line[:at] + strings.Repeat("…", min(columns, 1))
		}
	}
	return line
}
