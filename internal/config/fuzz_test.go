package config

import (
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// FuzzConfigFile searches for files that crash the parser, that it rejects without a location, or that change when
// their values are written and read again.
func FuzzConfigFile(f *testing.F) {
	for _, seed := range []string{"listen: 127.0.0.1:7070\ntick: 15s\n", "server: [https://a:1, 'https://b:1']\nrole:\n- web\n- db\n", "insecure: true # for once\n",
		"---\ntoken: |\n  abc\n---\noutput: json\n", "data: &a /srv\nlog: *a\n", "listn: x\n", "tick: 1.10\n", "\"listen\": \"\\u0000\"", "- a\n", "? a\n: b\n", "listen: !!binary x", "a: {b: [", "\t", "<<: {listen: x}\n",
		">5+" + strings.Repeat("Z", 2000), ">\x1b[2J"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		file, err := parse("drover.yaml", []byte(text))
		if err != nil {
			require.Contains(t, err.Error(), "drover.yaml", "the file is named")
			require.Less(t, len(err.Error()), 1000)
			require.NotContains(t, err.Error(), "\x1b")
			return
		}
		var again strings.Builder
		for key, value := range file.values {
			require.Contains(t, keys, key)
			require.Positive(t, value.line)
			again.WriteString(key + ":")
			if len(value.texts) == 0 {
				again.WriteString(" null")
			}
			for _, each := range value.texts {
				again.WriteString("\n- " + strconv.QuoteToASCII(each))
			}
			again.WriteString("\n")
		}
		second, err := parse("drover.yaml", []byte(again.String()))
		require.NoError(t, err, again.String())
		for key, value := range file.values {
			require.Equal(t, len(value.texts), len(second.values[key].texts))
		}
	})
}
