package cli

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestOutputOfStepsCannotControlTheTerminal(t *testing.T) {
	for printed, shown := range map[string]string{
		"plain\ttext\r\n":      "plain\ttext\n",
		"10%\r20%\r\n":         "10%\n20%\n",
		"\x1b[1;31mred\x1b[0m": "\x1b[1;31mred\x1b[0m",
		"\x1bm\x1b[mx":         "\\u001bm\x1b[mx",
		"\x1b[2J\x1b[H.":       `\u001b[2J\u001b[H.`,
		"\x1b]0;title\x07":     `\u001b]0;title\u0007`,
		"\x1b\x1b[31mx":        "\\u001b\x1b[31mx",
		"\x1bP+q544e\x1b\\":    `\u001bP+q544e\u001b\`,
		"\u009b2J\u00a7":       "\\u009b2J\u00a7",
		"\xc2\x1b[2J":          `\xc2\u001b[2J`,
		"\x00\x08\x7f":         `\u0000\u0008\u007f`,
		"\u202eevil":           `\u202eevil`,
		"ü\u00e4":              "ü\u00e4",
		"\x1b[99999999999999999999999999999999999999m": `\u001b[99999999999999999999999999999999999999m`,
	} {
		var whole, pieces strings.Builder
		_, err := (&escapingWriter{to: &whole, colours: true}).Write([]byte(printed))
		require.NoError(t, err)
		require.Equal(t, shown, whole.String())
		slow := &escapingWriter{to: &pieces, colours: true}
		for _, b := range []byte(printed) {
			_, err := slow.Write([]byte{b})
			require.NoError(t, err)
		}
		require.Equal(t, shown, pieces.String(), "a byte at a time")
	}
}

func TestColoursAreEscapedWithoutColourSupport(t *testing.T) {
	var out strings.Builder
	_, err := (&escapingWriter{to: &out}).Write([]byte("\x1b[31mred"))
	require.NoError(t, err)
	require.Equal(t, `\u001b[31mred`, out.String())
}
