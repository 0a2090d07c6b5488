package ids_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/droverhq/drover/internal/ids"
)

func TestTokenFormat(t *testing.T) {
	token := ids.NewToken()
	require.Regexp(t, `^[0-9a-f]{12}\.[A-Za-z0-9_-]{43}$`, token.Text())
	require.NotContains(t, token.Hash(), token.Secret)
	require.Len(t, token.Hash(), 64)
}

func TestTokensAndIDsAreUnique(t *testing.T) {
	require.NotEqual(t, ids.NewToken(), ids.NewToken())
	require.NotEqual(t, ids.New(), ids.New())
}
