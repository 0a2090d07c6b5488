package output_test

import (
	"bytes"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/droverhq/drover/agent/output"
)

// maskSimply masks a whole text with the simplest possible algorithm. It marks every occurrence of a secret as covered.
// Each run of covered bytes becomes one replacement, and so does each secret that begins where another one ends.
func maskSimply(secrets []string, text string) string {
	var b strings.Builder
	covered := 0
	for at := range len(text) {
		longest := 0
		for _, secret := range secrets {
			if strings.HasPrefix(text[at:], secret) {
				longest = max(longest, len(secret))
			}
		}
		if longest > 0 && at >= covered {
			b.WriteString("***")
		}
		if covered = max(covered, at+longest); at >= covered {
			b.WriteByte(text[at])
		}
	}
	return b.String()
}

// FuzzMaskNeverPassesASecret searches for secrets, texts and splits with which a secret passes or other bytes are
// lost.
func FuzzMaskNeverPassesASecret(f *testing.F) {
	f.Add("hunter2", "login with hunter2, then hunter2hunter2; hunter", []byte{1})
	f.Add("abcd\ncdef\nab\nbc", "<abcdef>abc", []byte{1, 2, 3})
	f.Add("ab\nabcdef\nbc", "<abcdef>", []byte{2})
	f.Add("aaaa\naaab\naab", "aaaaaaabaaabaa", []byte{5, 1})
	f.Add("\xff\xfe\n\x00", "\x00\xff\xff\xfe", []byte{1})
	f.Add("first line of a key", "first line of a key\r\nfirst line of a ", []byte{7})
	f.Add(strings.Repeat("k", 300), strings.Repeat("k", 299)+"x"+strings.Repeat("k", 601), []byte{64})
	f.Fuzz(func(t *testing.T, values, text string, cuts []byte) {
		if len(values) > 2000 || len(text) > 4000 {
			t.Skip("larger inputs test nothing new")
		}
		secrets := strings.FieldsFunc(values, func(r rune) bool { return r == '\n' })
		var b bytes.Buffer
		w := output.NewMask(secrets).Writer(&b)
		rest := text
		for i := 0; len(rest) > 0; i++ {
			n := len(rest)
			if len(cuts) > 0 {
				n = min(int(cuts[i%len(cuts)])+1, n)
			}
			count, err := w.Write([]byte(rest[:n]))
			require.NoError(t, err)
			require.Equal(t, n, count)
			rest = rest[n:]
		}
		require.NoError(t, w.Flush())
		require.Equal(t, maskSimply(secrets, text), b.String())
		for _, secret := range secrets {
			if !strings.Contains(secret, "*") { // the replacement itself may contain it
				require.NotContains(t, b.String(), secret)
			}
		}
		require.LessOrEqual(t, b.Len(), 3*len(text))
	})
}
