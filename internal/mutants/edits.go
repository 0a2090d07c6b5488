package main

import (
	"bytes"
	"cmp"
	"slices"
)

// edit replaces a range of a file's text. It belongs to a mutant, and is left out if that mutant does not compile.
type edit struct {
	mutant   *mutant
	from, to int
	text     func(id int) string
	closing  bool
	order    int
}

// edits are the insertions of all mutants of a file. An outer node must add its edits before the nodes within it.
type edits []edit

// wrap inserts text before and after a range.
func (e *edits) wrap(m *mutant, from, to int, before, after func(id int) string) {
	*e = append(*e, edit{m, from, from, before, false, len(*e)}, edit{m, to, to, after, true, len(*e) + 1})
}

// replace replaces a range that no other mutant edits, such as an operator.
func (e *edits) replace(m *mutant, from, to int, text func(id int) string) {
	*e = append(*e, edit{m, from, to, text, false, len(*e)})
}

// apply returns the text with all edits. They insert no line breaks, so that lines keep their numbers.
func (e edits) apply(text []byte) []byte {
	sorted := slices.Clone(e)
	slices.SortFunc(sorted, compareEdits)
	var out bytes.Buffer
	at := 0
	for _, edit := range sorted {
		if edit.mutant.invalid {
			continue
		}
		out.Write(text[at:edit.from])
		out.WriteString(edit.text(edit.mutant.id))
		at = edit.to
	}
	out.Write(text[at:])
	return out.Bytes()
}

// compareEdits orders edits by their place. At one place, nodes end before others begin; inner nodes end first, and outer
// nodes begin first.
func compareEdits(a, b edit) int {
	switch {
	case a.from != b.from:
		return cmp.Compare(a.from, b.from)
	case a.closing != b.closing:
		return map[bool]int{true: -1, false: 1}[a.closing]
	case a.closing:
		return cmp.Compare(b.order, a.order)
	}
	return cmp.Compare(a.order, b.order)
}
