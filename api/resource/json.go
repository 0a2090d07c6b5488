package resource

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
)

// isJSON says whether a text is to be read as JSON: by its file's name, or because it is nothing else.
func (s *source) isJSON() bool {
	if strings.HasSuffix(strings.ToLower(s.name), ".json") {
		return true
	}
	return strings.HasPrefix(strings.TrimSpace(s.text), "{") && json.Valid([]byte(s.text))
}

// jsonReader turns JSON into values with their places. Several documents may follow one another.
type jsonReader struct {
	src   *source
	dec   *json.Decoder
	found *findings
}

// errReported says that the problem is among the findings already.
var errReported = errors.New("reported")

// jsonValues yields the documents of a JSON text up to the first problem.
func (s *source) jsonValues(found *findings, yield func(*value) bool) {
	r := jsonReader{src: s, dec: json.NewDecoder(strings.NewReader(s.text)), found: found}
	r.dec.UseNumber()
	for more := true; more; {
		t, at, err := r.next()
		if errors.Is(err, io.EOF) {
			return
		}
		var v *value
		if err == nil {
			v, err = r.value(t, at, 0)
		}
		if err != nil {
			r.report(err)
			return
		}
		more = yield(v)
	}
}

func (r *jsonReader) report(err error) {
	if errors.Is(err, errReported) {
		return
	}
	offset, reason := len(strings.TrimRight(r.src.text, " \t\n")), "the JSON ends in the middle of a value"
	var wrong *json.SyntaxError
	if errors.As(err, &wrong) && wrong.Offset > 0 {
		// between tokens the offset is that of the wrong byte, inside one it is behind it
		reason, offset = "invalid JSON: "+wrong.Error(), int(wrong.Offset)
		if wrong.Offset != r.dec.InputOffset() {
			offset--
		}
	}
	r.found.add(r.src.problem(r.src.placeOf(min(offset, len(r.src.text))), reason, ""))
}

// next is the next token and the place where it begins.
func (r *jsonReader) next() (json.Token, place, error) {
	begin := int(r.dec.InputOffset())
	t, err := r.dec.Token()
	for begin < len(r.src.text) && strings.IndexByte(" \t\n,:", r.src.text[begin]) >= 0 {
		begin++
	}
	return t, r.src.placeOf(begin), err
}

func (r *jsonReader) value(t json.Token, at place, depth int) (*value, error) {
	v := &value{at: at, size: 1}
	if depth > maxDepth {
		return nil, r.refuse(at, "the document is nested too deep", "")
	}
	switch t := t.(type) {
	case json.Delim:
		if t == '[' {
			return v, r.list(v, depth)
		}
		return v, r.mapping(v, depth)
	case string:
		v.shape, v.text = text, t
	case json.Number:
		v.shape, v.text = number, t.String()
	case bool:
		v.shape, v.text = boolean, fmt.Sprint(t)
	}
	return v, nil
}

func (r *jsonReader) list(v *value, depth int) error {
	v.shape = list
	for {
		t, at, err := r.next()
		if err != nil || t == json.Delim(']') {
			return err
		}
		item, err := r.value(t, at, depth+1)
		if err != nil {
			return err
		}
		v.add(item)
		if v.size > maxValues {
			return r.refuse(at, "the document holds too many values", "")
		}
	}
}

func (r *jsonReader) mapping(v *value, depth int) error {
	v.shape = mapping
	for {
		key, at, err := r.next()
		if err != nil || key == json.Delim('}') {
			return err
		}
		t, below, err := r.next()
		if err != nil {
			return err
		}
		held, err := r.value(t, below, depth+1)
		if err != nil {
			return err
		}
		name, _ := key.(string)
		if first := v.get(name); first != nil {
			return r.refuse(at, fmt.Sprintf("duplicate key %.80q, first in line %d", name, first.at.line), "keep one of the two")
		}
		v.set(field{name: name, at: at, value: held})
		if v.size > maxValues {
			return r.refuse(at, "the document holds too many values", "")
		}
	}
}

func (r *jsonReader) refuse(at place, reason, hint string) error {
	r.found.add(r.src.problem(at, reason, hint))
	return errReported
}
