package resource

import (
	"slices"
	"strconv"
	"strings"
)

// Ops of a Delta.
const (
	Added   = "added"
	Removed = "removed"
	Changed = "changed"
)

// Delta is one difference between two documents of the same resource.
type Delta struct {
	Path string `json:"path"` // of the key, such as spec.steps[1].run
	Op   string `json:"op" enum:"added,removed,changed"`
	// From and To are the values as in YAML, on one line. A default that the document omits is written out. Both are
	// empty if Lines is set.
	From string `json:"from,omitempty"`
	To   string `json:"to,omitempty"`
	// Lines is a unified diff of a long text or list, without a header. Long lines and long diffs are shortened.
	Lines []string `json:"lines,omitempty"`
	// More counts the lines of the diff that Lines omits.
	More int `json:"more,omitempty"`
}

// leaf is one value of a document.
type leaf struct {
	key, path string // key contains the names of list items, and path their indexes
	form      form
	text      string // as in YAML, on one line
	content   string // of a text, or the items of a list, one per line
	long      bool   // too long for one line
	names     []string
	isDefault bool
}

// Compare returns the differences from one document to another of the same resource, in the order of the reference. It
// compares all content. Equal documents have no differences. The zero Document stands for a resource that does not exist.
// Items of lists are matched by their names, so an inserted step is an addition and changes no other step.
func Compare(old, new Document) []Delta {
	before, after := old.leaves(), new.leaves()
	was, now := byKey(before), byKey(after)
	all := []Delta{}
	left := maxDocumentLines
	for _, key := range mergedKeys(before, after) {
		d, differs := compare(was[key], now[key])
		if !differs {
			continue
		}
		if len(d.Lines) > left {
			d.Lines, d.More = d.Lines[:left], d.More+len(d.Lines)-left
		}
		left -= len(d.Lines)
		all = append(all, d)
	}
	return all
}

// Diff returns the result of Compare as lines: "~ spec.maxParallel: 10 → 5", "+ spec.cleanUp.after: 24h",
// "- spec.variables.PORT: 8080". The lines of a unified diff are indented.
func Diff(deltas []Delta) []string {
	lines := []string{}
	signs := map[string]string{Added: "+ ", Removed: "- ", Changed: "~ "}
	for _, d := range deltas {
		head := signs[d.Op] + d.Path + ":"
		switch {
		case d.Op == Changed && d.Lines == nil:
			head += " " + d.From + " → " + d.To
		case d.Lines == nil:
			head += " " + d.From + d.To
		}
		lines = append(lines, head)
		for _, line := range d.Lines {
			lines = append(lines, "    "+line)
		}
		if d.More > 0 {
			lines = append(lines, "    … and "+strconv.Itoa(d.More)+" more lines")
		}
	}
	return lines
}

func byKey(leaves []leaf) map[string]*leaf {
	found := make(map[string]*leaf, len(leaves))
	for i := range leaves {
		found[leaves[i].key] = &leaves[i]
	}
	return found
}

// mergedKeys returns the keys of both documents in the order of after. A key that only before has follows the same key
// as it does there.
func mergedKeys(before, after []leaf) []string {
	known := make(map[string]bool, len(after))
	for _, l := range after {
		known[l.key] = true
	}
	var first []string // keys of before that follow no common key
	following := map[string][]string{}
	common := ""
	for _, l := range before {
		switch {
		case known[l.key]:
			common = l.key
		case common == "":
			first = append(first, l.key)
		default:
			following[common] = append(following[common], l.key)
		}
	}
	all := first
	for _, l := range after {
		all = append(append(all, l.key), following[l.key]...)
	}
	return all
}

// compare compares a value of both documents. One of them may be nil.
func compare(was, now *leaf) (d Delta, differs bool) {
	switch {
	case was == nil && (now.isDefault || now.form == itemsForm), now == nil && (was.isDefault || was.form == itemsForm):
		return d, false
	case was == nil:
		d = Delta{Path: now.path, Op: Added, To: now.text}
		d.diff(&leaf{}, now)
		return d, true
	case now == nil:
		d = Delta{Path: was.path, Op: Removed, From: was.text}
		d.diff(was, &leaf{})
		return d, true
	case now.form == itemsForm:
		return Delta{Path: now.path, Op: Changed, From: was.text, To: now.text}, moved(was.names, now.names)
	}
	d = Delta{Path: now.path, Op: Changed, From: was.text, To: now.text}
	if was.text == now.text && was.content == now.content {
		if was.isDefault == now.isDefault {
			return d, false
		}
		d.markDefault(was.isDefault)
		return d, true
	}
	d.diff(was, now)
	return d, true
}

// markDefault distinguishes a default from the same value that is written out.
func (d *Delta) markDefault(from bool) {
	if from {
		d.From += " (default)"
	} else {
		d.To += " (default)"
	}
}

// moved reports whether the items that both lists have are in another order.
func moved(was, now []string) bool {
	common := func(list, other []string) []string {
		return slices.DeleteFunc(slices.Clone(list), func(name string) bool { return !slices.Contains(other, name) })
	}
	return !slices.Equal(common(was, now), common(now, was))
}

// diff replaces From and To with a unified diff if one of the values is too long for one line.
func (d *Delta) diff(was, now *leaf) {
	if was.long || now.long {
		d.From, d.To = "", ""
		d.Lines, d.More = unified(was.content, now.content)
	}
}

// leaves returns all values of the document, with defaults.
func (d Document) leaves() []leaf {
	if d.spec == nil {
		return nil
	}
	return leavesOf(nil, "spec", "spec", d.outline())
}

func leavesOf(all []leaf, key, path string, entries []entry) []leaf {
	for _, e := range entries {
		l := leaf{key: key + keySeparator + e.key, path: path + "." + e.key, form: e.form, isDefault: e.isDefault}
		switch e.form {
		case plain:
			l.text = e.text
			all = append(all, l)
		case quoted:
			l.text, l.content = scalar(e.text), e.text
			l.long = len(l.text) > maxBriefBytes || strings.Contains(strings.TrimSuffix(e.text, "\n"), "\n")
			all = append(all, l)
		case namesForm:
			l.text, l.content = flow(e.names), strings.Join(e.names, "\n")
			l.long = len(l.text) > maxBriefBytes
			all = append(all, l)
		case keysForm:
			all = leavesOf(all, l.key, l.path, e.below)
		case itemsForm:
			all = itemLeaves(all, l, e.items)
		}
	}
	return all
}

// keySeparator separates the names in a key. No name contains it.
const keySeparator = "\x00"

// itemLeaves returns the leaves of a list of structs, in which each item is named by its first entry. The order of the
// items is a leaf too.
func itemLeaves(all []leaf, list leaf, items [][]entry) []leaf {
	for _, item := range items {
		list.names = append(list.names, item[0].text)
	}
	list.text = flow(list.names)
	all = append(all, list)
	for i, item := range items {
		all = leavesOf(all, list.key+keySeparator+list.names[i], list.path+"["+strconv.Itoa(i)+"]", item)
	}
	return all
}
