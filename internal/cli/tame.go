package cli

import "bytes"

// tame lets through to a terminal what a step may print there, text, line breaks and colours, and shows every other control
// byte: what runs on a machine must not move the cursor, set the title or type on the terminal of whoever reads its output.
// Output comes in pieces, and a piece may end within a sequence.
type tame struct {
	held []byte // the beginning of a sequence
}

// escape begins a sequence; upper begins, in UTF-8, what is up to U+00BF, control characters too.
const (
	escape = 0x1b
	upper  = 0xc2
)

// maxSequence is longer than any colour is.
const maxSequence = 32

func (t *tame) pass(data []byte) []byte {
	var out bytes.Buffer
	for _, b := range data {
		if len(t.held) > 0 {
			t.within(&out, b)
			continue
		}
		switch {
		case b == escape, b == upper:
			t.held = []byte{b}
		case b < ' ' && b != '\n' && b != '\t' && b != '\r', b == 0x7f:
			show(&out, b)
		default:
			out.WriteByte(b)
		}
	}
	return out.Bytes()
}

// within takes the next byte of a sequence: only ESC [ digits ; … m is a colour.
func (t *tame) within(out *bytes.Buffer, b byte) {
	if t.held[0] == upper {
		t.held = nil
		switch {
		case b >= 0x80 && b < 0xa0:
			out.WriteString("\uFFFD")
		case b >= 0xa0 && b < 0xc0:
			out.Write([]byte{upper, b})
		default:
			out.WriteByte(upper)
			out.Write(t.pass([]byte{b}))
		}
		return
	}
	t.held = append(t.held, b)
	inside := len(t.held) > 2
	switch {
	case inside && b == 'm':
		out.Write(t.held)
	case !inside && b == '[', inside && (b >= '0' && b <= '9' || b == ';') && len(t.held) < maxSequence:
		return
	default:
		held := t.held[1:]
		t.held = nil
		show(out, escape)
		out.Write(t.pass(held))
		return
	}
	t.held = nil
}

// show writes a control byte as people write it: ^[ for escape.
func show(out *bytes.Buffer, b byte) { out.Write([]byte{'^', b ^ 0x40}) }
