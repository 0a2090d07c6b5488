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

// Write writes documents as YAML, keys at their defaults left out. What it writes, Read reads as the same.
func Write(w io.Writer, docs ...Document) error {
	var b strings.Builder
	for i, doc := range docs {
		if i > 0 {
			b.WriteString("---\n")
		}
		fmt.Fprintf(&b, "apiVersion: %s\nkind: %s\nmetadata:\n  name: %s\n", APIVersion, doc.Kind, scalar(doc.Name))
		said := b.Len()
		b.WriteString("spec:\n")
		head := b.Len()
		writeEntries(&b, doc.outline(), "  ", "  ")
		if b.Len() == head {
			text := b.String()[:said]
			b.Reset()
			b.WriteString(text + "spec: {}\n")
		}
	}
	if _, err := io.WriteString(w, b.String()); err != nil {
		return fmt.Errorf("write %d documents: %w", len(docs), err)
	}
	return nil
}

// writeEntries writes keys below one another; the first may stand behind the dash of a list.
func writeEntries(b *strings.Builder, entries []entry, first, indent string) {
	for _, e := range entries {
		if e.isZero {
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

// bare is text that no reader of YAML takes for anything but text.
var bare = regexp.MustCompile(`^[A-Za-z_/][A-Za-z0-9_./@+-]*( [A-Za-z0-9_./@+=-]+)*$|^\./[A-Za-z0-9_./-]*( [A-Za-z0-9_./@+=-]+)*$`)

// taken are words that some readers of YAML take for a truth or for nothing.
var taken = []string{"true", "false", "yes", "no", "on", "off", "y", "n", "null"}

// scalar is text in one line, quoted where it must be.
func scalar(text string) string {
	if bare.MatchString(text) && !slices.Contains(taken, strings.ToLower(text)) {
		return text
	}
	return quotedText(text)
}

// quotedText uses only escapes that JSON and YAML share.
func quotedText(text string) string {
	var b strings.Builder
	b.WriteByte('"')
	for _, r := range text {
		switch {
		case r == '"' || r == '\\':
			b.WriteByte('\\')
			b.WriteRune(r)
		case r == '\n':
			b.WriteString(`\n`)
		case r == '\t':
			b.WriteString(`\t`)
		case strconv.IsPrint(r):
			b.WriteRune(r)
		case r > 0xffff:
			fmt.Fprintf(&b, `\U%08x`, r)
		default:
			fmt.Fprintf(&b, `\u%04x`, r)
		}
	}
	b.WriteByte('"')
	return b.String()
}

// block writes text of several lines as a block where that says the same, else as scalar does.
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

// blockable says whether every reader gives a block back as it is: its first and last line say
// something, none ends in blanks (the parser loses those of a last line), and nothing is unprintable.
func blockable(body string) bool {
	if !utf8.ValidString(body) || body == "" || body[0] == ' ' || body[0] == '\t' || body[0] == '\n' || strings.HasSuffix(body, "\n") {
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

// flow is a list of names in one line.
func flow(names []string) string {
	texts := make([]string, len(names))
	for i, name := range names {
		texts[i] = scalar(name)
	}
	return "[" + strings.Join(texts, ", ") + "]"
}
