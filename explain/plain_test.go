package explain

import (
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/stretchr/testify/require"
)

func TestTextEscapesWhatATerminalWouldInterpret(t *testing.T) {
	for text, want := range map[string]string{
		"web-01 läuft, 日本":       "web-01 läuft, 日本",
		"\x1b[2Jgone":            `\u001b[2Jgone`,
		"a\u009b31mb":            `a\u009b31mb`,
		"\x9b31m":                `\x9b31m`,
		"half \xe6\x97":          `half \xe6\x97`,
		"gpj.\u202eexe":          `gpj.\u202eexe`,
		"a\u2066b\u200b":         `a\u2066b\u200b`,
		"\a\b\x7f\x00":           `\u0007\u0008\u007f\u0000`,
		"one\r\ntwo\rthree\t4\n": "one\ntwo\nthree\t4\n",
		"no\u00a0break":          "no break",
		"\U000e0041tag":          `\udb40\udc41tag`,
		"\ufffd":                 "\ufffd",
	} {
		require.Equal(t, want, Text(text))
	}
	require.Equal(t, `a b c \u001b`, Line("a\nb\tc \x1b"))
	require.JSONEq(t, `{"name": "a\u202eb\udb40\udc41"}`, Text("{\"name\": \"a\u202eb\U000e0041\"}"),
		"escaped JSON is still valid JSON")
}

func FuzzTerminalText(f *testing.F) {
	f.Add("a\x1b]0;title\a\u202e\xff\r\n")
	f.Fuzz(func(t *testing.T, text string) {
		shown := Text(text)
		require.True(t, utf8.ValidString(shown))
		for _, r := range shown {
			require.True(t, r == '\n' || r == '\t' || unicode.IsPrint(r), "%q", shown)
		}
		require.Equal(t, shown, Text(shown), "escaping twice changes nothing")
		require.NotContains(t, Line(text), "\n")
	})
}

func TestColumnsMeasuresWideAndCombiningCharacters(t *testing.T) {
	require.Equal(t, 4, Columns("日本"))
	require.Equal(t, 1, Columns("e\u0301"))
	require.Equal(t, 3, Columns("aé…"))
	require.Equal(t, "日…", Cut("日本語", 4))
	require.Equal(t, "abc", Cut("abc", 3))
	require.Equal(t, "ab…", Cut("abcd", 3))
	require.Empty(t, Cut("abcd", 0))
	require.LessOrEqual(t, Columns(Cut(strings.Repeat("語", 9), 6)), 6)
}

func TestColumnsMeasuresCodePointsThatAreDrawnAsOneCharacter(t *testing.T) {
	for text, columns := range map[string]int{
		"👍🏽": 2, "❤️": 2, "⚠️": 2, "⚠": 1, "🇩🇪": 2, "1️⃣": 2, "\u1112\u1161\u11ab": 2, "ก็": 1, "Ａｱ": 3,
	} {
		require.Equal(t, columns, Columns(text), text)
	}
	require.Equal(t, "a👍🏽…", Cut("a👍🏽👍🏽", 4), "a character is not cut in half")
	require.Equal(t, "e\u0301…", Cut("e\u0301e\u0301e\u0301", 2))
}
