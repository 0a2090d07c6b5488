package config

import (
	"encoding/json"
	"reflect"
	"strings"
)

// unknown holds the fields of a JSON object that this version does not know, so that it keeps what a newer version has
// written.
type unknown map[string]json.RawMessage

// unknownOf returns the fields of data that the struct known does not have.
func unknownOf(data []byte, known any) (unknown, error) {
	fields := unknown{}
	if err := json.Unmarshal(data, &fields); err != nil {
		return nil, err
	}
	t := reflect.TypeOf(known)
	for i := range t.NumField() {
		name, _, _ := strings.Cut(t.Field(i).Tag.Get("json"), ",")
		delete(fields, name)
	}
	if len(fields) == 0 {
		return nil, nil
	}
	return fields, nil
}

// appendTo adds the fields to a JSON object that is not empty.
func (u unknown) appendTo(object []byte, err error) ([]byte, error) {
	if err != nil || len(u) == 0 {
		return object, err
	}
	fields, err := json.Marshal(map[string]json.RawMessage(u))
	return append(append(object[:len(object)-1], ','), fields[1:]...), err
}

type (
	plainContext  Context
	plainContexts Contexts
)

// UnmarshalJSON implements json.Unmarshaler.
func (c *Context) UnmarshalJSON(data []byte) (err error) {
	if err := json.Unmarshal(data, (*plainContext)(c)); err != nil {
		return err
	}
	c.unknown, err = unknownOf(data, *c)
	return err
}

// MarshalJSON implements json.Marshaler.
func (c Context) MarshalJSON() ([]byte, error) {
	return c.unknown.appendTo(json.Marshal(plainContext(c)))
}

// UnmarshalJSON implements json.Unmarshaler.
func (all *Contexts) UnmarshalJSON(data []byte) (err error) {
	if err := json.Unmarshal(data, (*plainContexts)(all)); err != nil {
		return err
	}
	all.unknown, err = unknownOf(data, *all)
	return err
}

// MarshalJSON implements json.Marshaler.
func (all Contexts) MarshalJSON() ([]byte, error) {
	return all.unknown.appendTo(json.Marshal(plainContexts(all)))
}
