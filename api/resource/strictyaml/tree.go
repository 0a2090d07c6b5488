package strictyaml

import (
	"fmt"
	"strings"
)

// Shape is the kind of a value as it was written.
type Shape int

// The shapes.
const (
	Nothing Shape = iota
	Text
	Number
	Boolean
	List
	Mapping
)

// Value is one node of a document, with its location. Aliases share values.
type Value struct {
	Shape  Shape
	Text   string // of a scalar, as written
	At     Location
	Items  []*Value
	Fields []Field
	size   int // of this value and all below it, aliases expanded
}

// Field is one key of a mapping.
type Field struct {
	Name  string
	At    Location
	Value *Value
}

func (v *Value) add(item *Value) {
	v.Items = append(v.Items, item)
	v.grow(item)
}

func (v *Value) set(f Field) {
	v.Fields = append(v.Fields, f)
	v.grow(f.Value)
}

// grow adds to the size of a value, up to a limit, because the size of nested aliases can exceed any integer.
func (v *Value) grow(by *Value) { v.size = min(v.size+by.size, maxValues+1) }

// Get returns the value of a key, or nil if the key is absent or has no value.
func (v *Value) Get(name string) *Value {
	for i := range v.Fields {
		if v.Fields[i].Name == name && v.Fields[i].Value.Shape != Nothing {
			return v.Fields[i].Value
		}
	}
	return nil
}

// describe returns a short description of the value, for messages.
func (v *Value) describe() string {
	switch v.Shape {
	case Text:
		first, _, more := strings.Cut(v.Text, "\n")
		if more || len(first) > 40 {
			return fmt.Sprintf("text %.40q…", first)
		}
		return fmt.Sprintf("text %q", first)
	case Number, Boolean:
		return fmt.Sprintf("%.40s", v.Text)
	case List:
		return "a list"
	case Mapping:
		return "a mapping"
	}
	return "nothing"
}
