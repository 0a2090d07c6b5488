package serverkey_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/droverhq/drover/serverkey"
)

// seed is the private half of a fixed key.
const seed = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="

// text is its public half. It must never change, because clients and agents store it.
const text = "dsk_aoqqpp7tzyil4hlq3umoos6atft6jvrqtosq2xy53sdgiesvgg4fmr22"

func fixed(t *testing.T) serverkey.Key {
	t.Helper()
	key, err := serverkey.ParseSecret(seed)
	require.NoError(t, err)
	return key
}

func TestTextOfAKeyIsReadBack(t *testing.T) {
	key := fixed(t)
	require.Equal(t, text, key.Public().String())
	require.Equal(t, seed, key.Secret())
	for _, written := range []string{text, strings.ToUpper(text)} {
		read, err := serverkey.Parse(written)
		require.NoError(t, err)
		require.Equal(t, key.Public(), read)
	}
	other, err := serverkey.New()
	require.NoError(t, err)
	require.NotEqual(t, key.Public(), other.Public())
	read, err := serverkey.Parse(other.Public().String())
	require.NoError(t, err)
	require.Equal(t, other.Public(), read)
}

func TestDamagedTextIsRefused(t *testing.T) {
	for at := len(serverkey.Prefix); at < len(text); at++ {
		changed := "a"
		if text[at] == 'a' {
			changed = "b"
		}
		_, err := serverkey.Parse(text[:at] + changed + text[at+1:])
		require.ErrorContains(t, err, "check digits", "character %d", at)
		_, err = serverkey.Parse(text[:at])
		require.Error(t, err, "the first %d characters", at)
	}
	for _, wrong := range []string{"", "dsk_", text[4:], text + "a", text + "aaaaaaaa", " " + text, "dsk_" + text,
		strings.Replace(text, "q", "1", 1), strings.Replace(text, "q", "é", 1), strings.Repeat("x", 1<<20)} {
		_, err := serverkey.Parse(wrong)
		require.ErrorContains(t, err, "invalid server key")
		require.Less(t, len(err.Error()), 600)
	}
}

func TestSignatureIsValidForOnePurposeAndItsParts(t *testing.T) {
	key, public := fixed(t), fixed(t).Public()
	signature := key.Sign("a", []byte("bc"), []byte("d"))
	require.True(t, public.Verify(signature, "a", []byte("bc"), []byte("d")))
	require.False(t, public.Verify(signature, "ab", []byte("c"), []byte("d")))
	require.False(t, public.Verify(signature, "a", []byte("b"), []byte("cd")))
	require.False(t, public.Verify(signature, "a", []byte("bcd")))
	require.False(t, public.Verify(signature, "a", []byte("bc"), []byte("d"), nil))
	require.False(t, public.Verify(signature[1:], "a", []byte("bc"), []byte("d")))
	require.False(t, public.Verify(nil, "a", []byte("bc"), []byte("d")))
	other, err := serverkey.New()
	require.NoError(t, err)
	require.False(t, other.Public().Verify(signature, "a", []byte("bc"), []byte("d")))
}

func TestZeroKeySignsAndVerifiesNothing(t *testing.T) {
	require.Nil(t, serverkey.Key{}.Sign("a"))
	require.Empty(t, serverkey.Key{}.Public().String())
	require.False(t, serverkey.Public{}.Verify(fixed(t).Sign("a"), "a"))
	require.False(t, serverkey.Public{}.Verify(nil, "a"))
}

func TestPrivateHalfIsInNoMessage(t *testing.T) {
	key := fixed(t)
	for _, format := range []string{"%v", "%+v", "%#v", "%s"} {
		require.Equal(t, text, fmt.Sprintf(format, key))
	}
	_, err := serverkey.ParseSecret(seed[1:])
	require.ErrorContains(t, err, "private half")
	require.NotContains(t, err.Error(), seed[1:])
}
