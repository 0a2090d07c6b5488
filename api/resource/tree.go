package resource

import (
	"fmt"
	"strings"
)

// shape is what a value looks like as it was written.
type shape int

const (
	nothing shape = iota
	text
	number
	boolean
	list
	mapping
)

// value is one node of a document, with the place where it was written. Aliases share values.
type value struct {
	shape  shape
	text   string // of a scalar, letter by letter
	at     place
	items  []*value
	fields []field
	size   int // this value and all below it, aliases expanded
}

// field is one key of a mapping.
type field struct {
	name  string
	at    place
	value *value
}

func (v *value) add(item *value) {
	v.items = append(v.items, item)
	v.grow(item)
}

func (v *value) set(f field) {
	v.fields = append(v.fields, f)
	v.grow(f.value)
}

// grow counts with a lid, since aliases of aliases count beyond any number.
func (v *value) grow(by *value) { v.size = min(v.size+by.size, maxValues+1) }

func (v *value) get(name string) *field {
	for i := range v.fields {
		if v.fields[i].name == name {
			return &v.fields[i]
		}
	}
	return nil
}

// describe is the value in a few words, for sentences.
func (v *value) describe() string {
	switch v.shape {
	case text:
		first, _, more := strings.Cut(v.text, "\n")
		if more || len(first) > 40 {
			return fmt.Sprintf("text %.40q…", first)
		}
		return fmt.Sprintf("text %q", first)
	case number, boolean:
		return fmt.Sprintf("%.40s", v.text)
	case list:
		return "a list"
	case mapping:
		return "a mapping"
	}
	return "nothing"
}
