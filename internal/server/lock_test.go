package server

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// Another user who could open the file could hold the lock, and no server would start.
func TestLockFilesAreAccessibleOnlyToTheirOwner(t *testing.T) {
	path := filepath.Join(t.TempDir(), ".lock")
	require.NoError(t, os.WriteFile(path, nil, 0o644)) // as an earlier version created it
	for _, name := range []string{path, path + ".new"} {
		unlock, err := lockPrivately(name)
		require.NoError(t, err)
		unlock()
		info, err := os.Stat(name)
		require.NoError(t, err)
		require.Equal(t, os.FileMode(0o600), info.Mode().Perm(), name)
	}
}
