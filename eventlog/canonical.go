package eventlog

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// Canonical returns data, one JSON value, in the only spelling that logs store: no
// white space, the members of every object sorted by the bytes of their names, numbers
// as they were written, strings with no escape that JSON does not ask for. Two writers
// that mean the same therefore write, and check, the same bytes.
//
// It refuses what cannot be told apart afterwards: a name that stands twice in one
// object, text that is not valid Unicode, and anything after the value; and nesting
// beyond MaxDepth, which not every backend could store.
func Canonical(data []byte) ([]byte, error) {
	if !json.Valid(data) {
		return nil, syntaxError(data)
	}
	if !utf8.Valid(data) {
		return nil, errors.New("data is not UTF-8")
	}
	c := canonicaliser{in: data, out: make([]byte, 0, len(data))}
	if err := c.value(); err != nil {
		return nil, err
	}
	return c.out, nil
}

// syntaxError says where data stops being JSON.
func syntaxError(data []byte) error {
	var ignored json.RawMessage
	err := json.Unmarshal(data, &ignored)
	if at := (*json.SyntaxError)(nil); errors.As(err, &at) {
		return fmt.Errorf("data is no JSON at byte %d: %w", at.Offset, err)
	}
	return fmt.Errorf("data is no JSON: %w", err)
}

// canonicaliser rewrites in, which is known to be valid JSON, into out.
type canonicaliser struct {
	in  []byte
	at  int
	out []byte
	// depth counts the objects and arrays around the cursor.
	depth int
}

// member is one rewritten "name":value of an object, as a span of out.
type member struct {
	name       string
	start, end int
}

// peek skips white space and returns the byte that follows it.
func (c *canonicaliser) peek() byte {
	for {
		switch c.in[c.at] {
		case ' ', '\t', '\n', '\r':
			c.at++
		default:
			return c.in[c.at]
		}
	}
}

// take copies the next byte that is no white space.
func (c *canonicaliser) take() {
	c.out = append(c.out, c.peek())
	c.at++
}

func (c *canonicaliser) value() error {
	switch c.peek() {
	case '{':
		return c.deeper(c.object)
	case '[':
		return c.deeper(c.array)
	case '"':
		_, err := c.text()
		return err
	default:
		c.literal()
		return nil
	}
}

// deeper rewrites what nests one level deeper.
func (c *canonicaliser) deeper(rewrite func() error) error {
	if c.depth == MaxDepth {
		return fmt.Errorf("data is nested deeper than %d levels", MaxDepth)
	}
	c.depth++
	defer func() { c.depth-- }()
	return rewrite()
}

// literal copies a number, true, false or null as it was written.
func (c *canonicaliser) literal() {
	rest := c.in[c.at:]
	end := bytes.IndexAny(rest, " \t\n\r,]}")
	if end < 0 {
		end = len(rest)
	}
	c.out = append(c.out, rest[:end]...)
	c.at += end
}

func (c *canonicaliser) array() error {
	c.take()
	for c.peek() != ']' {
		if c.peek() == ',' {
			c.take()
		}
		if err := c.value(); err != nil {
			return err
		}
	}
	c.take()
	return nil
}

func (c *canonicaliser) object() error {
	c.take()
	first := len(c.out)
	var members []member
	for c.peek() != '}' {
		if c.peek() == ',' {
			c.at++
		}
		c.peek()
		start := len(c.out)
		name, err := c.text()
		if err != nil {
			return err
		}
		c.take()
		if err := c.value(); err != nil {
			return err
		}
		members = append(members, member{name: name, start: start, end: len(c.out)})
		c.out = append(c.out, ',')
	}
	if len(members) > 0 {
		c.out = c.out[:len(c.out)-1]
	}
	if err := c.sort(first, members); err != nil {
		return err
	}
	c.take()
	return nil
}

// sort brings the members of one object, which begin at first in out, into order.
func (c *canonicaliser) sort(first int, members []member) error {
	byName := func(a, b member) int { return strings.Compare(a.name, b.name) }
	sorted := slices.IsSortedFunc(members, byName)
	if !sorted {
		slices.SortStableFunc(members, byName)
	}
	for i := 1; i < len(members); i++ {
		if members[i].name == members[i-1].name {
			return fmt.Errorf("data has the name %q twice in one object", members[i].name)
		}
	}
	if sorted {
		return nil
	}
	old := slices.Clone(c.out[first:])
	c.out = c.out[:first]
	for i, m := range members {
		if i > 0 {
			c.out = append(c.out, ',')
		}
		c.out = append(c.out, old[m.start-first:m.end-first]...)
	}
	return nil
}

// text rewrites a string, which begins at the cursor, and returns what it means.
func (c *canonicaliser) text() (string, error) {
	end := c.at + 1
	escaped := false
	for ; c.in[end] != '"'; end++ {
		if c.in[end] == '\\' {
			escaped = true
			end++
		}
	}
	raw := c.in[c.at : end+1]
	c.at = end + 1
	if !escaped {
		c.out = append(c.out, raw...)
		return string(raw[1 : len(raw)-1]), nil
	}
	meaning, err := unescape(raw[1 : len(raw)-1])
	if err != nil {
		return "", err
	}
	c.out = appendText(c.out, meaning)
	return meaning, nil
}

// short are the one-letter escapes of JSON and what they mean.
var short = map[byte]byte{'"': '"', '\\': '\\', '/': '/', 'b': '\b', 'f': '\f', 'n': '\n', 'r': '\r', 't': '\t'}

// unescape returns what the inside of a JSON string means. encoding/json would turn
// half a surrogate pair into U+FFFD without a word; here it is refused.
func unescape(raw []byte) (string, error) {
	out := make([]byte, 0, len(raw))
	for i := 0; i < len(raw); i++ {
		if raw[i] != '\\' {
			out = append(out, raw[i])
			continue
		}
		i++
		if raw[i] != 'u' {
			out = append(out, short[raw[i]])
			continue
		}
		r := hexRune(raw[i+1:])
		i += 4
		if utf16.IsSurrogate(r) {
			if i+6 < len(raw) && raw[i+1] == '\\' && raw[i+2] == 'u' {
				r = utf16.DecodeRune(r, hexRune(raw[i+3:]))
				i += 6
			}
			if utf16.IsSurrogate(r) || r == utf8.RuneError {
				return "", fmt.Errorf("data has half a surrogate pair in %q", raw)
			}
		}
		out = utf8.AppendRune(out, r)
	}
	return string(out), nil
}

func hexRune(digits []byte) rune {
	n, _ := strconv.ParseUint(string(digits[:4]), 16, 16)
	return rune(n)
}

// appendText writes text as a JSON string, escaping only what JSON forbids as it is.
func appendText(out []byte, text string) []byte {
	out = append(out, '"')
	for i := 0; i < len(text); i++ {
		switch b := text[i]; {
		case b == '"' || b == '\\':
			out = append(out, '\\', b)
		case b < 0x20:
			out = append(out, fmt.Sprintf(`\u%04x`, b)...)
		default:
			out = append(out, b)
		}
	}
	return append(out, '"')
}
