package domain

import (
	"encoding"
	"encoding/json"
	"reflect"
	"slices"
	"strings"
)

// Most events consist of names, ids and lists of them. Logs return their data in a canonical encoding: without white
// space and with the members sorted by name. The decoders in this file read such data in one pass, because
// encoding/json takes half of the time of a replay. They leave all other data to encoding/json, which also determines
// what is valid and which errors are returned. FuzzFastDecode compares the two.

// cursor is a position in data that may turn out not to be canonical.
type cursor struct {
	data []byte
	at   int
}

// decoder reads one value into an addressable Go value of its type. It returns false, with the value in any state, if
// the data is not canonical. Types that are left to encoding/json have a nil decoder.
type decoder func(c *cursor, into reflect.Value) bool

// decodeFast decodes data into a zero value. It returns false if the data is not canonical.
func decodeFast(decode decoder, data []byte, into reflect.Value) bool {
	c := cursor{data: data}
	return decode != nil && decode(&c, into) && c.at == len(data)
}

// next advances by one byte if that byte is b.
func (c *cursor) next(b byte) bool {
	if c.at == len(c.data) || c.data[c.at] != b {
		return false
	}
	c.at++
	return true
}

// text advances by a string of printable ASCII without an escape sequence and returns its content.
func (c *cursor) text() (content []byte, ok bool) {
	if !c.next('"') {
		return nil, false
	}
	for start := c.at; c.at < len(c.data); c.at++ {
		switch b := c.data[c.at]; {
		case b == '"':
			c.at++
			return c.data[start : c.at-1], true
		case b == '\\' || b < 0x20 || b > 0x7e:
			return nil, false
		}
	}
	return nil, false
}

func decodeText(c *cursor, into reflect.Value) bool {
	text, ok := c.text()
	if ok {
		into.SetString(string(text))
	}
	return ok
}

func decodeID(c *cursor, into reflect.Value) bool {
	text, ok := c.text()
	if !ok || len(text) == 0 {
		return ok
	}
	id, err := parseID(text)
	*into.Addr().Interface().(*ID) = id //nolint:forcetypeassert // decoderOf checked the type
	return err == nil
}

var (
	idType       = reflect.TypeFor[ID]()
	unmarshalers = []reflect.Type{reflect.TypeFor[json.Unmarshaler](), reflect.TypeFor[encoding.TextUnmarshaler]()}
)

// decoderOf returns the decoder for a type, or nil if the type is left to encoding/json.
func decoderOf(t reflect.Type) decoder {
	implements := func(unmarshaler reflect.Type) bool { return reflect.PointerTo(t).Implements(unmarshaler) }
	switch {
	case t == idType:
		return decodeID
	case slices.ContainsFunc(unmarshalers, implements):
		return nil
	case t.Kind() == reflect.String:
		return decodeText
	case t.Kind() == reflect.Slice:
		return listDecoder(decoderOf(t.Elem()))
	case t.Kind() == reflect.Struct:
		return objectDecoder(t)
	}
	return nil
}

// listDecoder returns a decoder for non-empty lists. Empty lists are left to encoding/json, which does not make them
// nil.
func listDecoder(element decoder) decoder {
	if element == nil {
		return nil
	}
	return func(c *cursor, into reflect.Value) bool {
		if !c.next('[') {
			return false
		}
		for n := 0; ; n++ {
			into.Grow(1)
			into.SetLen(n + 1)
			if !element(c, into.Index(n)) {
				return false
			}
			if !c.next(',') {
				return c.next(']')
			}
		}
	}
}

// member is a field with its JSON name. Fields of embedded structs are members of the outer struct.
type member struct {
	name   string
	index  []int
	decode decoder
}

func objectDecoder(t reflect.Type) decoder {
	members := membersOf(t)
	return func(c *cursor, into reflect.Value) bool {
		if !c.next('{') {
			return false
		}
		if c.next('}') {
			return true
		}
		for at := 0; ; at++ {
			name, ok := c.text()
			for at < len(members) && members[at].name != string(name) {
				at++ // never backwards, so no name is read twice
			}
			if !ok || !c.next(':') || at == len(members) || members[at].decode == nil ||
				!members[at].decode(c, into.FieldByIndex(members[at].index)) {
				return false
			}
			if !c.next(',') {
				return c.next('}')
			}
		}
	}
}

// membersOf returns the fields of a struct that have a JSON name, sorted by that name.
func membersOf(t reflect.Type) []member {
	var members []member
	for _, field := range reflect.VisibleFields(t) {
		name, options, _ := strings.Cut(field.Tag.Get("json"), ",")
		if name == "" || name == "-" || !field.IsExported() {
			continue
		}
		m := member{name: name, index: field.Index}
		if options == "" || options == "omitempty" || options == "omitzero" {
			m.decode = decoderOf(field.Type)
		}
		members = append(members, m)
	}
	slices.SortFunc(members, func(a, b member) int { return strings.Compare(a.name, b.name) })
	return members
}
