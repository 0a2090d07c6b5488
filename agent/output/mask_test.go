package output_test

import (
	"bytes"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/droverhq/drover/agent/output"
)

// masked writes text in pieces of the given sizes through a mask.
func masked(t require.TestingT, secrets []string, text string, sizes ...int) string {
	var b bytes.Buffer
	w := output.NewMask(secrets).Writer(&b)
	for i := 0; len(text) > 0; i++ {
		n := min(sizes[i%len(sizes)], len(text))
		_, err := w.Write([]byte(text[:n]))
		require.NoError(t, err)
		text = text[n:]
	}
	require.NoError(t, w.Flush())
	return b.String()
}

func TestSecretSplitAcrossWritesIsMasked(t *testing.T) {
	const text = "login with hunter2, then hunter2hunter2; hunter is no secret\n"
	const want = "login with ***, then ******; hunter is no secret\n"
	for size := 1; size < len(text); size++ {
		require.Equal(t, want, masked(t, []string{"hunter2"}, text, size), "in pieces of %d", size)
	}
}

func TestOverlappingSecretsAreMaskedCompletely(t *testing.T) {
	require.Equal(t, "<***>", masked(t, []string{"abcd", "cdef"}, "<abcdef>", 1))
	require.Equal(t, "<***>", masked(t, []string{"ab", "abcdef", "bc"}, "<abcdef>", 2))
	require.Equal(t, "<***x>", masked(t, []string{"ab", "abcdef", "bcd"}, "<abcdx>", 3))
}

func TestBinaryOutputPassesUnchanged(t *testing.T) {
	const bytes = "\xff\x00\xfesecret\xc3"
	require.Equal(t, "\xff\x00\xfe***\xc3", masked(t, []string{"secret"}, bytes, 2))
	require.Equal(t, bytes, masked(t, nil, bytes, 1))
	require.Equal(t, bytes, masked(t, []string{""}, bytes, 1))
}

func TestNoSecretPassesForRandomTextsAndSplits(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		word := rapid.StringOfN(rapid.RuneFrom([]rune("ab")), 1, 5, -1)
		secrets := rapid.SliceOfN(word, 1, 4).Draw(t, "secrets")
		text := strings.Join(rapid.SliceOfN(word, 0, 20).Draw(t, "text"), "c")
		sizes := rapid.SliceOfN(rapid.IntRange(1, 9), 1, 5).Draw(t, "sizes")

		got := masked(t, secrets, text, sizes...)

		for _, secret := range secrets {
			require.NotContains(t, got, secret)
		}
		require.Equal(t, output.NewMask(secrets).Text(text), got, "the split changed the result")
		require.Equal(t, strings.Count(text, "c"), strings.Count(got, "c"), "other bytes than the secrets are lost")
	})
}
