package resource

import (
	"fmt"
	"io"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// Write writes documents as YAML, without keys that have their default values. Read returns them unchanged.
func Write(w io.Writer, docs ...Document) error {
	var b strings.Builder
	for i, doc := range docs {
		if i > 0 {
			b.WriteString("---\n")
		}
		fmt.Fprintf(&b, "apiVersion: %s\nkind: %s\nmetadata:\n  name: %s\n", APIVersion, doc.Kind, scalar(doc.Name))
		var spec strings.Builder
		writeEntries(&spec, doc.outline(), "  ", "  ")
		if spec.Len() == 0 {
			b.WriteString("spec: {}\n")
		} else {
			b.WriteString("spec:\n" + spec.String())
		}
	}
	if _, err := io.WriteString(w, b.String()); err != nil {
		return fmt.Errorf("write %d documents: %w", len(docs), err)
	}
	return nil
}

// writeEntries writes one key per line or block. first is the indent of the first key, which differs after the dash of
// a list.
func writeEntries(b *strings.Builder, entries []entry, first, indent string) {
	for _, e := range entries {
		if e.isDefault {
			continue
		}
		b.WriteString(first + scalar(e.key) + ":")
		first = indent
		switch e.form {
		case plain:
			b.WriteString(" " + e.text + "\n")
		case quoted:
			b.WriteString(" " + block(e.text, indent+"  ") + "\n")
		case namesForm:
			b.WriteString(" " + flow(e.names) + "\n")
		case keysForm:
			b.WriteString("\n")
			writeEntries(b, e.below, indent+"  ", indent+"  ")
		case itemsForm:
			b.WriteString("\n")
			for _, item := range e.items {
				writeEntries(b, item, indent+"  - ", indent+"    ")
			}
		}
	}
}

// bare matches text that every YAML parser reads as text without quotes.
var bare = regexp.MustCompile(
	`^[A-Za-z_/][A-Za-z0-9_./@+-]*( [A-Za-z0-9_./@+=-]+)*$|^\./[A-Za-z0-9_./-]*( [A-Za-z0-9_./@+=-]+)*$`,
)

// reserved lists words that some YAML parsers read as a boolean or as null.
var reserved = []string{"true", "false", "yes", "no", "on", "off", "y", "n", "null"}

// scalar returns text on one line, quoted if necessary.
func scalar(text string) string {
	if bare.MatchString(text) && !slices.Contains(reserved, strings.ToLower(text)) {
		return text
	}
	return strconv.Quote(text) // YAML supports all escapes of Go
}

// block returns multi-line text as a block if every parser reads that back unchanged, and otherwise the result of
// scalar.
func block(text, indent string) string {
	body, ends := strings.CutSuffix(text, "\n")
	if !strings.Contains(text, "\n") || !blockable(body) {
		return scalar(text)
	}
	mark := "|-"
	if ends {
		mark = "|"
	}
	var b strings.Builder
	b.WriteString(mark)
	for line := range strings.SplitSeq(body, "\n") {
		b.WriteByte('\n')
		if line != "" {
			b.WriteString(indent + line)
		}
	}
	return b.String()
}

// blockable reports whether every parser reads a block back unchanged. Its first and last lines must not be blank, no
// line may end with a blank (parsers remove blanks at the end of the last line), and all characters must be printable.
func blockable(body string) bool {
	if !utf8.ValidString(body) || body == "" || body[0] == ' ' || body[0] == '\t' || body[0] == '\n' ||
		strings.HasSuffix(body, "\n") {
		return false
	}
	for line := range strings.SplitSeq(body, "\n") {
		if strings.TrimRight(line, " \t") != line {
			return false
		}
		for _, r := range line {
			if r != '\t' && !strconv.IsPrint(r) {
				return false
			}
		}
	}
	return true
}

// flow returns a list of names on one line.
func flow(names []string) string {
	texts := make([]string, len(names))
	for i, name := range names {
		texts[i] = scalar(name)
	}
	return "[" + strings.Join(texts, ", ") + "]"
}
