package output

import (
	"bytes"
	"io"
	"slices"
)

// replacement is written in place of a secret's value.
const replacement = "***"

// Mask replaces the values of secrets. The zero value replaces nothing.
type Mask struct {
	// first reports for each byte whether a value begins with it.
	first [256]bool
	// starting contains the values by their first byte, longest first.
	starting [256][][]byte
	// longest is the length in bytes of the longest value.
	longest int
}

// NewMask returns a mask for values. Empty values are ignored.
func NewMask(values []string) *Mask {
	m := &Mask{}
	for _, value := range values {
		if value == "" {
			continue
		}
		m.first[value[0]] = true
		m.starting[value[0]] = append(m.starting[value[0]], []byte(value))
		m.longest = max(m.longest, len(value))
	}
	for i := range m.starting {
		slices.SortFunc(m.starting[i], func(a, b []byte) int { return len(b) - len(a) })
	}
	return m
}

// Text returns text with every value replaced.
func (m *Mask) Text(text string) string {
	var b bytes.Buffer
	w := m.Writer(&b)
	_, _ = w.Write([]byte(text))
	_ = w.Flush()
	return b.String()
}

// Writer returns a writer that replaces every value and writes the result to w. It holds back bytes that may be the
// beginning of a value until the next Write or Flush.
func (m *Mask) Writer(w io.Writer) *Masked { return &Masked{mask: m, to: w} }

// match returns the length of the longest value that is a prefix of rest. If rest is too short to exclude a longer
// value, undecided is true.
func (m *Mask) match(rest []byte) (length int, undecided bool) {
	for _, value := range m.starting[rest[0]] {
		if len(value) <= len(rest) {
			if bytes.Equal(rest[:len(value)], value) {
				return len(value), undecided
			}
		} else if bytes.Equal(rest, value[:len(rest)]) {
			undecided = true
		}
	}
	return 0, undecided
}

// Masked is a writer that replaces the values of secrets.
type Masked struct {
	mask *Mask
	to   io.Writer
	// held contains the bytes that were written but not passed on yet.
	held []byte
	// covered is the number of bytes at the beginning of held that belong to a value that was already replaced. Values can
	// overlap, and every byte of each must be masked.
	covered int
	out     []byte
}

// Write passes on all bytes up to the first one that may begin a value, and holds back the rest.
func (w *Masked) Write(p []byte) (int, error) {
	if w.mask.longest == 0 {
		return w.to.Write(p)
	}
	w.held = append(w.held, p...)
	return len(p), w.pass(false)
}

// Flush passes on the bytes that were held back. A value that was written only in part is not masked.
func (w *Masked) Flush() error { return w.pass(true) }

func (w *Masked) pass(final bool) error {
	at := w.decide(final)
	w.held = append(w.held[:0], w.held[at:]...)
	w.covered = max(w.covered-at, 0)
	if len(w.out) == 0 {
		return nil
	}
	_, err := w.to.Write(w.out)
	w.out = w.out[:0]
	return err
}

// decide appends the decided bytes of held to out and returns how many bytes of held it has processed.
func (w *Masked) decide(final bool) (at int) {
	for at < len(w.held) {
		if next := w.plain(at); next > at {
			w.out = append(w.out, w.held[at:next]...)
			at = next
			continue
		}
		length, undecided := w.mask.match(w.held[at:])
		if undecided && !final {
			return at
		}
		w.processByte(at, length)
		at++
	}
	return at
}

// plain returns the end of the run of bytes, starting at at, in which no value can begin or continue.
func (w *Masked) plain(at int) int {
	if at < w.covered {
		return at
	}
	for at < len(w.held) && !w.mask.first[w.held[at]] {
		at++
	}
	return at
}

// processByte processes the byte at position at. length is the length of the value that begins there, or 0.
func (w *Masked) processByte(at, length int) {
	if length > 0 && at >= w.covered {
		w.out = append(w.out, replacement...)
	}
	if length > 0 {
		w.covered = max(w.covered, at+length)
	}
	if at >= w.covered {
		w.out = append(w.out, w.held[at])
	}
}
