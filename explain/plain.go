package explain

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/clipperhouse/displaywidth"
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

// Line escapes text like Text and replaces line ends and tabs with blanks, so that the result is one line.
func Line(text string) string {
	return strings.Map(func(r rune) rune {
		if r == '\n' || r == '\t' {
			return ' '
		}
		return r
	}, Text(text))
}

// Columns returns how many terminal columns a line takes. Code points that are drawn as one character, such as an emoji
// and its skin tone, take the columns of one character.
func Columns(line string) int { return displaywidth.String(line) }

// Cut shortens a line to a number of columns and ends a shortened line with an ellipsis.
func Cut(line string, columns int) string {
	if columns < 1 {
		return ""
	}
	return displaywidth.TruncateString(line, columns, "…")
}
