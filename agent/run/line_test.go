package run_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/droverhq/drover/agent/run"
)

func TestLastLineIsWhatATerminalShows(t *testing.T) {
	for name, c := range map[string]struct{ text, want string }{
		"nothing":                         {"", ""},
		"blank lines at the end":          {"first\nlast\n \n\n", "last"},
		"no line break at the end":        {"first\nlast", "last"},
		"Windows line breaks":             {"first\r\nlast\r\n", "last"},
		"colours":                         {"\x1b[1;31mERROR\x1b[0m: disk quota exceeded\x1b[K\n", "ERROR: disk quota exceeded"},
		"a line of colours only":          {"ERROR\n\x1b[0m\n", "ERROR"},
		"a title with its text":           {"\x1b]0;build\x07failed\n", "failed"},
		"a link that ends with ESC \\":    {"see \x1b]8;;https://x.example\x1b\\log\x1b]8;;\x1b\\\n", "see log"},
		"a character set":                 {"\x1b(Bplain\n", "plain"},
		"an incomplete sequence":          {"first\x1b]0;title\nlast\n", "last"},
		"a sequence at the end":           {"last\x1b[3", "last"},
		"a progress bar":                  {"  1%\r 50%\r100%\n", "100%"},
		"a progress bar without its end":  {"  1%\r 50%\r", "50%"},
		"a progress bar that was cleared": {" 50%\r\x1b[Kdisk full\n", "disk full"},
		"bytes of control characters":     {"a\x00b\x08c\x7f\u009bd\n", "a b c  d"},
		"a tab":                           {"a\tb\n", "a b"},
		"many lines":                      {strings.Repeat("y\n", 3000) + "last\n", "last"},
		"many blank lines":                {"last\n" + strings.Repeat("\x1b[0m\n", 3000), "last"},
		"a long line":                     {strings.Repeat("x", 3000), strings.Repeat("x", 497) + "…"},
	} {
		t.Run(name, func(t *testing.T) {
			for size := 1; size <= max(len(c.text), 1); size += max(1, size/3) {
				var l run.LastLine
				for rest := c.text; rest != ""; rest = rest[min(size, len(rest)):] {
					_, err := l.Write([]byte(rest[:min(size, len(rest))]))
					require.NoError(t, err)
				}
				require.Equal(t, c.want, l.String(), "in pieces of %d bytes", size)
				require.Equal(t, c.text != "" && !strings.HasSuffix(c.text, "\n"), l.Open())
			}
		})
	}
}
