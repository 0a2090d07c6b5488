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

// Canonical returns data, one JSON value, in the canonical form that logs store: no white space, the members of every
// object sorted by the bytes of their names, numbers as they were written, and no unnecessary escapes in strings.
// Therefore equal values from different writers have equal bytes and checksums.
//
// Canonical returns an error for data that readers could interpret differently: a duplicate name in an object, text
// that is not valid Unicode, or anything after the value. It also refuses nesting beyond MaxDepth, which not every
// backend can store.
func Canonical(data []byte) ([]byte, error) {
	if !json.Valid(data) {
		return nil, syntaxError(data)
	}
	if !utf8.Valid(data) {
		return nil, errors.New("data is not UTF-8")
	}
	c := canonicalizer{in: data, out: make([]byte, 0, len(data))}
	if err := c.value(); err != nil {
		return nil, err
	}
	return c.out, nil
}

// syntaxError returns an error with the offset at which data stops being valid JSON.
func syntaxError(data []byte) error {
	var ignored json.RawMessage
	err := json.Unmarshal(data, &ignored)
	if at := (*json.SyntaxError)(nil); errors.As(err, &at) {
		return fmt.Errorf("data is not valid JSON at byte %d: %w", at.Offset, err)
	}
	return fmt.Errorf("data is not valid JSON: %w", err)
}

// canonicalizer rewrites in, which is known to be valid JSON, into out.
type canonicalizer struct {
	in  []byte
	at  int
	out []byte
	// depth is the number of objects and arrays around the cursor.
	depth int
}

// member is one rewritten "name":value of an object, as a span of out.
type member struct {
	name       string
	start, end int
}

// peek skips white space and returns the byte that follows it.
func (c *canonicalizer) peek() byte {
	for {
		switch c.in[c.at] {
		case ' ', '\t', '\n', '\r':
			c.at++
		default:
			return c.in[c.at]
		}
	}
}

// take copies the next byte that is not white space.
func (c *canonicalizer) take() {
	c.out = append(c.out, c.peek())
	c.at++
}

func (c *canonicalizer) value() error {
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

// deeper calls rewrite for a value that is nested one level deeper.
func (c *canonicalizer) deeper(rewrite func() error) error {
	if c.depth == MaxDepth {
		return fmt.Errorf("data is nested deeper than %d levels", MaxDepth)
	}
	c.depth++
	defer func() { c.depth-- }()
	return rewrite()
}

// literal copies a number, true, false or null as it was written.
func (c *canonicalizer) literal() {
	rest := c.in[c.at:]
	end := bytes.IndexAny(rest, " \t\n\r,]}")
	if end < 0 {
		end = len(rest)
	}
	c.out = append(c.out, rest[:end]...)
	c.at += end
}

func (c *canonicalizer) array() error {
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

func (c *canonicalizer) object() error {
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

// sort sorts the members of one object, which begins at first in out, by name.
func (c *canonicalizer) sort(first int, members []member) error {
	byName := func(a, b member) int { return strings.Compare(a.name, b.name) }
	sorted := slices.IsSortedFunc(members, byName)
	if !sorted {
		slices.SortStableFunc(members, byName)
	}
	for i := 1; i < len(members); i++ {
		if members[i].name == members[i-1].name {
			return fmt.Errorf("data has the duplicate name %q in one object", members[i].name)
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

// text rewrites the string at the cursor and returns its unescaped value.
func (c *canonicalizer) text() (string, error) {
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

// short maps the one-letter escapes of JSON to the bytes that they stand for.
var short = map[byte]byte{'"': '"', '\\': '\\', '/': '/', 'b': '\b', 'f': '\f', 'n': '\n', 'r': '\r', 't': '\t'}

// unescape returns the value of a JSON string without its quotes. encoding/json silently replaces half a surrogate pair
// with U+FFFD; unescape returns an error.
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

// appendText appends text as a JSON string and escapes only the characters that JSON requires to be escaped.
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
