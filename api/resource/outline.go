package resource

import (
	"cmp"
	"fmt"
	"reflect"
	"slices"
	"strings"

	"github.com/droverhq/drover/api/resource/strictyaml"
	"github.com/droverhq/drover/domain"
)

// entry is one key of a document as it is written. Its form determines which of the fields are used.
type entry struct {
	key       string
	form      form
	text      string    // plain and quoted
	names     []string  // names
	below     []entry   // keys
	items     [][]entry // items
	isDefault bool      // omitting the key has the same effect
}

// form is how an entry is written.
type form int

const (
	plain  form = iota // a number, a boolean, a duration, a percentage
	quoted             // text, quoted if necessary
	namesForm
	keysForm
	itemsForm
)

// outline returns the spec of a document, key by key in the order of the reference.
func (d Document) outline() []entry {
	if d.spec == nil {
		return nil
	}
	return entries(reflect.ValueOf(d.spec).Elem(), reflect.ValueOf(d.Kind.row().withDefaults()).Elem())
}

// entries returns the fields of a struct that are not nil. An optional field that equals the one in usual is marked as
// a default. The tag unset is the text of a default whose value does not tell its effect, such as a timeout of 0s.
func entries(of, usual reflect.Value) (all []entry) {
	for i, key := range strictyaml.Keys(of.Type()) {
		if field := of.Field(i); field.Kind() != reflect.Pointer || !field.IsNil() {
			e := entryOf(field, usual.Field(i))
			tag := of.Type().Field(i).Tag
			e.key, e.text, e.isDefault = key, e.text+tag.Get("unit"), e.isDefault && tag.Get("required") == ""
			if unset := tag.Get("unset"); e.isDefault && unset != "" {
				e.text = unset
			}
			all = append(all, e)
		}
	}
	return all
}

func entryOf(v, usual reflect.Value) entry {
	switch of := v.Interface().(type) {
	case domain.Duration:
		return entry{text: durationText(of), isDefault: v.Equal(usual)}
	case domain.Amount:
		return entry{text: of.String(), isDefault: v.Equal(usual)}
	}
	switch v.Kind() {
	case reflect.Pointer:
		if usual.IsNil() { // 0 is not the same as an absent key
			e := entryOf(v.Elem(), reflect.Zero(v.Type().Elem()))
			e.isDefault = false
			return e
		}
		return entryOf(v.Elem(), usual.Elem())
	case reflect.String:
		return entry{form: quoted, text: v.String(), isDefault: v.Equal(usual)}
	case reflect.Struct:
		e := entry{form: keysForm, below: entries(v, usual)}
		e.isDefault = !slices.ContainsFunc(e.below, func(e entry) bool { return !e.isDefault })
		return e
	case reflect.Slice:
		return listEntry(v)
	case reflect.Map:
		return mapEntry(v)
	}
	return entry{text: fmt.Sprint(v.Interface()), isDefault: v.Equal(usual)}
}

// mapEntry is a map from text to text, or from names to pointers to structs, whose fields are omitted if they are zero.
func mapEntry(m reflect.Value) entry {
	e := entry{form: keysForm, isDefault: m.Len() == 0}
	for _, name := range m.MapKeys() {
		below := entry{form: quoted}
		if value := m.MapIndex(name); value.Kind() == reflect.Pointer {
			below = entryOf(value, reflect.New(value.Type().Elem()))
		} else {
			below.text = value.String()
		}
		below.key = name.String()
		e.below = append(e.below, below)
	}
	slices.SortFunc(e.below, func(a, b entry) int { return cmp.Compare(a.key, b.key) })
	return e
}

// listEntry is a list of structs or of text.
func listEntry(list reflect.Value) entry {
	e := entry{form: namesForm, isDefault: list.Len() == 0}
	structs := list.Type().Elem().Kind() == reflect.Struct
	if structs {
		e.form = itemsForm
	}
	for i := range list.Len() {
		if structs {
			e.items = append(e.items, entries(list.Index(i), reflect.Zero(list.Type().Elem())))
		} else {
			e.names = append(e.names, list.Index(i).String())
		}
	}
	return e
}

// durationText formats a duration like Go, without zero units at the end: 24h, not 24h0m0s.
func durationText(d domain.Duration) string {
	text := d.String()
	if strings.HasSuffix(text, "m0s") {
		text = strings.TrimSuffix(text, "0s")
	}
	if strings.HasSuffix(text, "h0m") {
		text = strings.TrimSuffix(text, "0m")
	}
	return text
}
