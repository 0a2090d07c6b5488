package quarantine_test

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/droverhq/drover/internal/quarantine"
)

func TestOnlyTheNewestDamagedFilesAreKept(t *testing.T) {
	path := filepath.Join(t.TempDir(), "memory.json")
	foreign := path + ".damaged-01" // a name that Rename does not choose
	require.NoError(t, os.WriteFile(foreign, nil, 0o600))
	for n := 1; n <= 5; n++ {
		require.NoError(t, os.WriteFile(path, fmt.Append(nil, n), 0o600))
		kept, err := quarantine.Rename(path)
		require.NoError(t, err)
		require.Equal(t, fmt.Sprint(path, ".damaged-", n), kept)
		content, err := os.ReadFile(kept)
		require.NoError(t, err)
		require.Equal(t, fmt.Sprint(n), string(content))
	}
	left, err := filepath.Glob(path + "*")
	require.NoError(t, err)
	require.Equal(t, []string{foreign, path + ".damaged-3", path + ".damaged-4", path + ".damaged-5"}, left)
	_, err = quarantine.Rename(path)
	require.ErrorIs(t, err, os.ErrNotExist)
}
