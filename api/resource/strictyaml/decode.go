package strictyaml

import (
	"cmp"
	"fmt"
	"reflect"
	"slices"
	"strings"
)

// Decoder fills a Go struct from one document. A tag on a field describes its key:
//
//	yaml:"name"       the key
//	required:"hint"   the document must have the key; the hint says how to write it
//	hint:"text"       what to write instead of a value of another type
//	zero:"hint"       the key must not be 0 or empty: zero is the value of an absent key
//	unit:"%"          the number is written with a percent sign
//
// Fields are text, whole numbers, booleans, durations (any int64), amounts (structs that read themselves from the text of
// a whole number or a percentage), lists, maps from text to text, maps from names to pointers to structs, structs, and
// pointers to these; a *Value takes any value.
type Decoder struct {
	Source *Source
	Found  *Findings
	// Mapping returns the end of the message about an unknown key in the mapping at path. If nil, the message contains
	// the path.
	Mapping func(path string) string
	// Locations maps the path of each value, such as spec.healthCheck.every, to its location. The items of a list of
	// text also have paths with their text, such as spec.roles/web.
	Locations map[string]Location
	// Failed reports whether a problem was found.
	Failed bool

	check func(document any) (reason, hint string)
}

// Rules check each field separately, so that each problem is reported at its own location.
type Rules struct {
	// Example returns a new valid document: a pointer to a struct of the type that is decoded. To check a field, the
	// decoder sets it in an example and calls Check. A list of structs has one item in the example.
	Example func() any
	// Check returns why a document is invalid, or an empty reason.
	Check func(document any) (reason, hint string)
}

// example returns a new example document and, in it, the field that is being decoded.
type example func() (document any, field reflect.Value)

// Decode fills the struct that to points to, and reports every problem. path is the path of v; it is empty for a
// document.
func (d *Decoder) Decode(v *Value, path string, to any, rules Rules) {
	if d.Locations == nil {
		d.Locations = map[string]Location{}
	}
	d.check = rules.Check
	f := field{path: path}
	if rules.Example != nil {
		f.example = func() (any, reflect.Value) { e := rules.Example(); return e, reflect.ValueOf(e).Elem() }
	}
	d.value(reflect.ValueOf(to).Elem(), v, f)
}

// field describes the value of a document that is being decoded.
type field struct {
	path    string
	tag     reflect.StructTag
	example example // nil if the value is not checked
}

// Report adds a problem of the document and returns false.
func (d *Decoder) Report(at Location, reason, hint string) bool {
	d.Failed = true
	d.Found.report(d.Source, at, reason, hint)
	return false
}

// mismatch reports a value of the wrong type.
func (d *Decoder) mismatch(v *Value, f field, want, hint string) bool {
	subject := f.path
	if subject == "" {
		subject = "the document"
	}
	return d.Report(v.At, fmt.Sprintf("%s must be %s, not %s", subject, want, v.describe()), hint)
}

// checkField sets the field of an example to the value that was read, and checks the example.
func (d *Decoder) checkField(f field, at Location, set func(field reflect.Value)) bool {
	if f.example == nil {
		return true
	}
	document, field := f.example()
	set(field)
	reason, hint := d.check(document)
	return reason == "" || d.Report(at, reason, hint)
}

// value decodes v into to, which must be settable.
func (d *Decoder) value(to reflect.Value, v *Value, f field) bool {
	d.Locations[f.path] = v.At
	if raw, ok := to.Addr().Interface().(**Value); ok {
		*raw = v
		return true
	}
	switch {
	case isAmount(to.Type()):
	case to.Kind() == reflect.Pointer:
		to.Set(reflect.New(to.Type().Elem()))
		return d.value(to.Elem(), v, f.child(f.path, pointee))
	case to.Kind() == reflect.Struct:
		return d.object(to, v, f)
	case to.Kind() == reflect.Slice:
		return d.list(to, v, f)
	case to.Kind() == reflect.Map && to.Type().Elem().Kind() == reflect.Pointer:
		return d.named(to, v, f)
	case to.Kind() == reflect.Map:
		return d.texts(to, v, f)
	}
	if !d.scalar(to, v, f) {
		return false
	}
	if hint := f.tag.Get("zero"); hint != "" && to.IsZero() {
		return d.Report(v.At, fmt.Sprintf("invalid %s %s", f.path, cmp.Or(v.Text, `""`)), hint)
	}
	return d.checkField(f, v.At, func(field reflect.Value) { field.Set(to) })
}

// child returns the field at a path inside f. find locates it in the value that f has in an example.
func (f field) child(path string, find func(outer reflect.Value) reflect.Value) field {
	inner := field{path: path, tag: f.tag}
	if f.example != nil {
		inner.example = func() (any, reflect.Value) {
			document, outer := f.example()
			return document, find(outer)
		}
	}
	return inner
}

// pointee returns the value that a pointer points to. If the pointer is nil, it first allocates the value.
func pointee(pointer reflect.Value) reflect.Value {
	if pointer.IsNil() {
		pointer.Set(reflect.New(pointer.Type().Elem()))
	}
	return pointer.Elem()
}

// object fills a struct. Messages name the item of a list by its first field. If that field is invalid, the other
// fields are therefore not checked.
func (d *Decoder) object(to reflect.Value, v *Value, f field) bool {
	keys := Keys(to.Type())
	if v.Shape != Mapping {
		return d.mismatch(v, f, "a mapping", "keys: "+strings.Join(keys, ", "))
	}
	ok := true
	for _, key := range v.Fields {
		if !slices.Contains(keys, key.Name) {
			ok = d.unknown(key, f.path, keys)
		}
	}
	item := strings.HasSuffix(f.path, "]")
	for i, key := range keys {
		at := f.child(join(f.path, key), func(outer reflect.Value) reflect.Value {
			if item {
				outer.Field(0).Set(to.Field(0))
			}
			return outer.Field(i)
		})
		at.tag = to.Type().Field(i).Tag
		valid, read := true, v.Get(key)
		switch required := at.tag.Get("required"); {
		case read != nil:
			valid = d.value(to.Field(i), read, at)
		case required != "":
			valid = d.Report(v.At, at.path+" is missing", required)
		}
		if ok = ok && valid; item && i == 0 && !valid {
			f.example = nil
		}
	}
	return ok
}

// join returns the path of a key.
func join(path, key string) string {
	if path == "" {
		return key
	}
	return path + "." + key
}

// Keys returns the keys of a struct type, in order.
func Keys(of reflect.Type) []string {
	keys := make([]string, of.NumField())
	for i := range keys {
		keys[i] = of.Field(i).Tag.Get("yaml")
	}
	return keys
}

// unknown reports an unknown key.
func (d *Decoder) unknown(key Field, path string, keys []string) bool {
	where := " in " + cmp.Or(path, "the document")
	if d.Mapping != nil {
		where = d.Mapping(path)
	}
	if d.Failed = true; d.Found.Full() { // looking for a similar key takes time
		return false
	}
	return d.Report(key.At, fmt.Sprintf("unknown key %.80q%s", key.Name, where), DidYouMean(key.Name, keys))
}

// list fills a slice item by item.
func (d *Decoder) list(to reflect.Value, v *Value, f field) bool {
	if v.Shape != List {
		return d.mismatch(v, f, "a list", f.tag.Get("hint"))
	}
	ok := true
	for i, item := range v.Items {
		read := reflect.New(to.Type().Elem()).Elem()
		at := f.child(fmt.Sprintf("%s[%d]", f.path, i), oneItem)
		if valid := d.value(read, item, at); !valid {
			ok = false
		} else if read.Kind() == reflect.String {
			d.Locations[f.path+"/"+read.String()] = item.At
		}
		to.Set(reflect.Append(to, read))
		if d.Found.Full() {
			return false
		}
	}
	return ok
}

// oneItem returns an item of an example's list that can be set: its last struct, or a new empty text.
func oneItem(list reflect.Value) reflect.Value {
	if list.Type().Elem().Kind() != reflect.Struct {
		list.Set(reflect.Append(list, reflect.Zero(list.Type().Elem())))
	}
	return list.Index(list.Len() - 1)
}

// named fills a map from names to pointers to structs.
func (d *Decoder) named(to reflect.Value, v *Value, f field) bool {
	return d.entries(to, v, f, "a mapping of names to mappings", func(entry reflect.Value, key Field) bool {
		at := f.child(join(f.path, key.Name), func(outer reflect.Value) reflect.Value {
			example := reflect.New(outer.Type().Elem().Elem())
			setOnly(outer, key.Name, example)
			return example.Elem()
		})
		ok := d.value(pointee(entry), key.Value, at)
		d.Locations[at.path] = key.At
		return ok
	})
}

// texts fills a map from text to text.
func (d *Decoder) texts(to reflect.Value, v *Value, f field) bool {
	return d.entries(to, v, f, "a mapping of names to text", func(text reflect.Value, key Field) bool {
		return d.scalar(text, key.Value, field{path: join(f.path, key.Name)}) &&
			d.checkField(f, key.At, func(field reflect.Value) { setOnly(field, key.Name, text) })
	})
}

// entries fills a map entry by entry. form names the form that the value must have.
func (d *Decoder) entries(to reflect.Value, v *Value, f field, form string,
	read func(entry reflect.Value, key Field) bool) bool {
	if v.Shape != Mapping {
		return d.mismatch(v, f, form, f.tag.Get("hint"))
	}
	ok := true
	to.Set(reflect.MakeMap(to.Type()))
	for _, key := range v.Fields {
		entry := reflect.New(to.Type().Elem()).Elem()
		ok = read(entry, key) && ok
		to.SetMapIndex(reflect.ValueOf(key.Name), entry)
		if d.Found.Full() {
			return false
		}
	}
	return ok
}

// setOnly replaces a map by one with a single entry.
func setOnly(all reflect.Value, name string, entry reflect.Value) {
	all.Set(reflect.MakeMap(all.Type()))
	all.SetMapIndex(reflect.ValueOf(name), entry)
}
