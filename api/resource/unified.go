package resource

import (
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/rogpeppe/go-internal/diff"
)

// Limits of what a comparison shows.
const (
	maxBriefBytes    = 160 // of a value on one line
	maxTextLines     = 100 // of the diff of one text
	maxDocumentLines = 400 // of all diffs of one document
	maxLineBytes     = 300 // of one line of a diff
	lineContext      = 60  // bytes of a shortened line before the first change
)

// unified returns the unified diff of two texts without its header, and how many lines it omits.
func unified(was, now string) (lines []string, more int) {
	if !strings.HasSuffix(was, "\n") && !strings.HasSuffix(now, "\n") { // else the diff repeats what both lack
		was, now = terminated(was), terminated(now)
	}
	text := string(diff.Diff("", []byte(was), "", []byte(now)))
	lines = strings.Split(strings.TrimSuffix(text, "\n"), "\n")
	lines = lines[min(len(lines), headerLines):]
	if len(lines) > maxTextLines {
		lines, more = lines[:maxTextLines], len(lines)-maxTextLines
	}
	shortenAll(lines)
	return lines, more
}

// headerLines is the number of lines with which diff.Diff begins.
const headerLines = 3

func terminated(text string) string {
	if text == "" {
		return ""
	}
	return text + "\n"
}

// shortenAll shortens the long lines of a diff. The n-th removed line of a block is compared with the n-th added one, so
// that the first change in both stays visible.
func shortenAll(lines []string) {
	for i := 0; i < len(lines); {
		removed := countPrefix(lines[i:], "-")
		added := countPrefix(lines[i+removed:], "+")
		for n := range max(removed, added) {
			from := 0
			if n < removed && n < added {
				from = commonPrefix(lines[i+n][1:], lines[i+removed+n][1:])
			}
			if n < removed {
				lines[i+n] = "-" + shorten(lines[i+n][1:], from)
			}
			if n < added {
				lines[i+removed+n] = "+" + shorten(lines[i+removed+n][1:], from)
			}
		}
		i += removed + added
		if removed+added == 0 {
			lines[i] = lines[i][:1] + shorten(lines[i][1:], 0)
			i++
		}
	}
}

func countPrefix(lines []string, prefix string) (n int) {
	for n < len(lines) && strings.HasPrefix(lines[n], prefix) {
		n++
	}
	return n
}

func commonPrefix(a, b string) (n int) {
	for n < len(a) && n < len(b) && a[n] == b[n] {
		n++
	}
	return n
}

// shorten returns at most maxLineBytes of a line, beginning shortly before the position from.
func shorten(line string, from int) string {
	if len(line) <= maxLineBytes {
		return line
	}
	start := max(0, min(from-lineContext, len(line)-maxLineBytes))
	for start > 0 && !utf8.RuneStart(line[start]) {
		start--
	}
	end := min(len(line), start+maxLineBytes)
	for end < len(line) && !utf8.RuneStart(line[end]) {
		end--
	}
	text := line[start:end]
	if start > 0 {
		text = fmt.Sprintf("(%d bytes)…%s", start, text)
	}
	if end < len(line) {
		text += fmt.Sprintf("…(%d bytes)", len(line)-end)
	}
	return text
}
