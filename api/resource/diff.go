package resource

import (
	"fmt"
	"slices"
	"strings"
)

// maxDiffLines is how many lines of a changed text are shown.
const maxDiffLines = 40

// leaf is one value of a document.
type leaf struct {
	path      string
	text      string // as in YAML, on one line
	lines     []string
	isDefault bool
}

// Diff returns a line for each change from one document to another of the same resource: "~ spec.maxParallel: 10 → 5",
// "+ spec.cleanUp.after: 24h", "- spec.variables.PORT: 8080". A multi-line text is followed by its changed lines,
// indented. Equal documents have no changes. The zero Document stands for a resource that does not exist.
func Diff(old, new Document) []string {
	before, after := old.leaves(), new.leaves()
	var lines []string
	for _, l := range merged(before, after) {
		was, now := find(before, l.path), find(after, l.path)
		switch {
		case was == nil && now.isDefault, now == nil && was.isDefault:
		case was == nil:
			lines = append(lines, "+ "+now.path+": "+now.text)
		case now == nil:
			lines = append(lines, "- "+was.path+": "+was.text)
		case was.text != now.text:
			lines = append(lines, changed(was, now)...)
		}
	}
	return lines
}

// merged returns the leaves of both documents in the order of after. A leaf that only before has follows the same leaf
// as it does there.
func merged(before, after []leaf) []leaf {
	all := slices.Clone(after)
	at := 0
	for _, l := range before {
		if i := slices.IndexFunc(all, func(o leaf) bool { return o.path == l.path }); i >= 0 {
			at = i + 1
			continue
		}
		all = slices.Insert(all, at, l)
		at++
	}
	return all
}

func find(leaves []leaf, path string) *leaf {
	for i := range leaves {
		if leaves[i].path == path {
			return &leaves[i]
		}
	}
	return nil
}

func changed(was, now *leaf) []string {
	if len(was.lines) <= 1 && len(now.lines) <= 1 {
		return []string{"~ " + now.path + ": " + was.text + " → " + now.text}
	}
	head := fmt.Sprintf("~ %s: %s → %s", now.path, count(was.lines), count(now.lines))
	return append([]string{head}, changedLines(was.lines, now.lines)...)
}

func count(lines []string) string {
	if len(lines) == 1 {
		return "1 line"
	}
	return fmt.Sprintf("%d lines", len(lines))
}

// changedLines returns the lines between the common first lines and the common last lines of both texts.
func changedLines(was, now []string) []string {
	for len(was) > 0 && len(now) > 0 && was[0] == now[0] {
		was, now = was[1:], now[1:]
	}
	for len(was) > 0 && len(now) > 0 && was[len(was)-1] == now[len(now)-1] {
		was, now = was[:len(was)-1], now[:len(now)-1]
	}
	var lines []string
	for _, line := range was {
		lines = append(lines, "    - "+line)
	}
	for _, line := range now {
		lines = append(lines, "    + "+line)
	}
	if len(lines) > maxDiffLines {
		lines = append(lines[:maxDiffLines], fmt.Sprintf("    … and %d more", len(lines)-maxDiffLines))
	}
	return lines
}

// leaves returns all values of the document, with defaults.
func (d Document) leaves() []leaf {
	if d.spec == nil {
		return nil
	}
	return leavesOf(nil, "spec", d.outline())
}

func leavesOf(all []leaf, path string, entries []entry) []leaf {
	for _, e := range entries {
		at := path + "." + e.key
		switch e.form {
		case plain:
			all = append(all, leaf{path: at, text: e.text, isDefault: e.isDefault})
		case quoted:
			all = append(all, leaf{path: at, text: brief(e.text), lines: splitLines(e.text), isDefault: e.isDefault})
		case namesForm:
			all = append(all, leaf{path: at, text: flow(e.names), isDefault: e.isDefault})
		case keysForm:
			all = leavesOf(all, at, e.below)
		case itemsForm:
			all = itemLeaves(all, at, e)
		}
	}
	return all
}

// itemLeaves returns the leaves of a list of structs, in which each item is named by its first entry. The order of the
// items is a leaf too.
func itemLeaves(all []leaf, path string, e entry) []leaf {
	order := make([]string, len(e.items))
	for i, item := range e.items {
		order[i] = item[0].text
	}
	all = append(all, leaf{path: path, text: flow(order), isDefault: e.isDefault})
	for i, item := range e.items {
		all = leavesOf(all, path+"."+order[i], item[1:])
	}
	return all
}

func splitLines(text string) []string {
	return strings.Split(strings.TrimSuffix(text, "\n"), "\n")
}

// brief returns text on one line.
func brief(text string) string {
	if lines := splitLines(text); len(lines) > 1 {
		return count(lines)
	}
	return scalar(text)
}
