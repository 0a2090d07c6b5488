package cli

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestWhatAStepPrintsCannotSteerTheTerminalOfWhoReadsIt(t *testing.T) {
	for printed, shown := range map[string]string{
		"plain\ttext\r\n":      "plain\ttext\r\n",
		"\x1b[1;31mred\x1b[0m": "\x1b[1;31mred\x1b[0m",
		"\x1bm\x1b[mx":         "^[m\x1b[mx",
		"\x1b[2J\x1b[H":        "^[[2J^[[H",
		"\x1b]0;title\x07":     "^[]0;title^G",
		"\x1b\x1b[31mx":        "^[\x1b[31mx",
		"\x1bP+q544e\x1b\\":    "^[P+q544e^[\\",
		"\u009b2J\u00a7":       "\uFFFD2J\u00a7",
		"\xc2\x1b[2J":          "\xc2^[[2J",
		"\x00\x08\x7f":         "^@^H^?",
		"ü\u00e4":              "ü\u00e4",
		"\x1b[99999999999999999999999999999999999999m": "^[[99999999999999999999999999999999999999m",
	} {
		whole := &tame{}
		require.Equal(t, shown, string(whole.pass([]byte(printed))))
		pieces, got := &tame{}, ""
		for _, b := range []byte(printed) {
			got += string(pieces.pass([]byte{b}))
		}
		require.Equal(t, shown, got, "a byte at a time")
	}
}
