package transport_test

import (
	"bytes"
	"os"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/droverhq/drover/internal/transport"
	"github.com/droverhq/drover/internal/transport/transporttest"
)

func TestFileThatIsTooLargeIsNotReadInPart(t *testing.T) {
	authority := transporttest.NewAuthority(t)
	authorities, err := transport.LoadAuthorities(authority.File)
	require.NoError(t, err)
	text, err := os.ReadFile(authority.File)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(authority.File, bytes.Repeat(text, 1<<20/len(text)+1), 0o600))
	_, err = authorities.Reload()
	require.ErrorContains(t, err, "has more than 1048576 bytes")
	require.NotNil(t, authorities.Pool(), "the previous ones stay in use")
}
