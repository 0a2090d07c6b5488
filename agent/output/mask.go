package output

import (
	"bytes"
	"io"
	"slices"
)

// stars stand where the value of a secret stood.
const stars = "***"

// Mask replaces the values of secrets. The zero value replaces nothing.
type Mask struct {
	// first says of each byte whether a value begins with it.
	first [256]bool
	// starting holds the values by their first byte, the longest first.
	starting [256][][]byte
	// longest is the length in bytes of the longest value.
	longest int
}

// NewMask returns a mask for values; empty ones are passed over.
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

// Writer returns a writer that passes to w what it is given, with every value replaced.
// It holds back what may be the beginning of a value until more is written, or Flush.
func (m *Mask) Writer(w io.Writer) *Masked { return &Masked{mask: m, to: w} }

// match returns the length of the longest value that rest begins with, and whether rest is
// so short that a longer value might still come.
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

// Masked is a writer that replaces the values of secrets on the way.
type Masked struct {
	mask *Mask
	to   io.Writer
	// held is what was written and not passed on yet.
	held []byte
	// covered is how many bytes of held belong to a value whose stars were already passed on:
	// values may overlap, and no piece of either may show.
	covered int
	out     []byte
}

// Write passes on what is decided and holds back the rest.
func (w *Masked) Write(p []byte) (int, error) {
	if w.mask.longest == 0 {
		return w.to.Write(p)
	}
	w.held = append(w.held, p...)
	return len(p), w.pass(false)
}

// Flush passes on what was held back; a value that was written only in part is not masked.
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

// decide fills out from held and returns how many bytes of held are done with.
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
		w.one(at, length)
		at++
	}
	return at
}

// plain returns where the bytes from at on end at which no value can begin or go on.
func (w *Masked) plain(at int) int {
	if at < w.covered {
		return at
	}
	for at < len(w.held) && !w.mask.first[w.held[at]] {
		at++
	}
	return at
}

// one passes on the byte at a place where a value of that length begins, or none (0).
func (w *Masked) one(at, length int) {
	if length > 0 && at >= w.covered {
		w.out = append(w.out, stars...)
	}
	if length > 0 {
		w.covered = max(w.covered, at+length)
	}
	if at >= w.covered {
		w.out = append(w.out, w.held[at])
	}
}
