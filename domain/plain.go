package domain

import (
	"encoding/json"
	"reflect"
	"slices"
	"strings"
)

// Most facts hold nothing but names, ids and lists of them, and logs give data back in one spelling: no white space,
// members in the order of their names. Such data is plain: it is read here in one pass, because encoding/json takes half
// of the time of a replay. Whatever is not plain is left to encoding/json, so that what is accepted, how it is
// understood and what is said of the rest is decided there alone; FuzzPlain compares the two.

// plain is a cursor in data that may turn out not to be plain.
type plain struct {
	data []byte
	at   int
}

// form reads one value into an addressable Go value of its type. It is false, and leaves anything there, for what is not
// plain. A nil form is that of types which are left to encoding/json.
type form func(p *plain, into reflect.Value) bool

// readPlain fills into, a zero value, if all of data is plain.
func readPlain(read form, data []byte, into reflect.Value) bool {
	p := plain{data: data}
	return read != nil && read(&p, into) && p.at == len(data)
}

// next steps over one byte if it is b.
func (p *plain) next(b byte) bool {
	if p.at == len(p.data) || p.data[p.at] != b {
		return false
	}
	p.at++
	return true
}

// text steps over a string of printable ASCII without an escape and returns what is in it.
func (p *plain) text() (inside []byte, ok bool) {
	if !p.next('"') {
		return nil, false
	}
	for start := p.at; p.at < len(p.data); p.at++ {
		switch b := p.data[p.at]; {
		case b == '"':
			p.at++
			return p.data[start : p.at-1], true
		case b == '\\' || b < 0x20 || b > 0x7e:
			return nil, false
		}
	}
	return nil, false
}

func readText(p *plain, into reflect.Value) bool {
	text, ok := p.text()
	if ok {
		into.SetString(string(text))
	}
	return ok
}

func readID(p *plain, into reflect.Value) bool {
	text, ok := p.text()
	if !ok || len(text) == 0 {
		return ok
	}
	id, err := parseID(text)
	*into.Addr().Interface().(*ID) = id //nolint:forcetypeassert // formOf chose it by the type
	return err == nil
}

var (
	idType      = reflect.TypeFor[ID]()
	ownSpelling = []reflect.Type{reflect.TypeFor[json.Unmarshaler](), reflect.TypeFor[interface{ UnmarshalText([]byte) error }]()}
)

// formOf is how plain data of a type is read.
func formOf(t reflect.Type) form {
	own := func(spelling reflect.Type) bool { return reflect.PointerTo(t).Implements(spelling) }
	switch {
	case t == idType:
		return readID
	case slices.ContainsFunc(ownSpelling, own):
		return nil
	case t.Kind() == reflect.String:
		return readText
	case t.Kind() == reflect.Slice:
		return listOf(formOf(t.Elem()))
	case t.Kind() == reflect.Struct:
		return objectOf(t)
	}
	return nil
}

// listOf reads a list that is not empty: encoding/json tells an empty one from none.
func listOf(element form) form {
	if element == nil {
		return nil
	}
	return func(p *plain, into reflect.Value) bool {
		if !p.next('[') {
			return false
		}
		for n := 0; ; n++ {
			into.Grow(1)
			into.SetLen(n + 1)
			if !element(p, into.Index(n)) {
				return false
			}
			if !p.next(',') {
				return p.next(']')
			}
		}
	}
}

// member is a field by its name in JSON. Fields of embedded structs are members too.
type member struct {
	name  string
	index []int
	read  form
}

func objectOf(t reflect.Type) form {
	members := membersOf(t)
	return func(p *plain, into reflect.Value) bool {
		if !p.next('{') {
			return false
		}
		if p.next('}') {
			return true
		}
		for at := 0; ; at++ {
			name, ok := p.text()
			for at < len(members) && members[at].name != string(name) {
				at++ // never back, so no name is taken twice
			}
			if !ok || !p.next(':') || at == len(members) || members[at].read == nil || !members[at].read(p, into.FieldByIndex(members[at].index)) {
				return false
			}
			if !p.next(',') {
				return p.next('}')
			}
		}
	}
}

// membersOf are the fields of a struct with a name in JSON, by that name. A field without one is not found in plain data.
func membersOf(t reflect.Type) []member {
	var members []member
	for _, field := range reflect.VisibleFields(t) {
		name, how, _ := strings.Cut(field.Tag.Get("json"), ",")
		if name == "" || name == "-" || !field.IsExported() {
			continue
		}
		m := member{name: name, index: field.Index}
		if how == "" || how == "omitempty" || how == "omitzero" {
			m.read = formOf(field.Type)
		}
		members = append(members, m)
	}
	slices.SortFunc(members, func(a, b member) int { return strings.Compare(a.name, b.name) })
	return members
}
