package cli_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/droverhq/drover/internal/cli"
)

func TestUpdateRefusesAFileThatWasChangedMeanwhile(t *testing.T) {
	folder := t.TempDir()
	path := filepath.Join(folder, "a.txt")
	require.NoError(t, os.WriteFile(path, []byte("edited"), 0o600))
	require.EqualError(t, cli.ReplaceText(path, "read", "updated"), "the file changed while the scenario ran")
	require.NoError(t, cli.ReplaceText(path, "edited", "updated"))
	text, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Equal(t, "updated", string(text))
	left, err := os.ReadDir(folder)
	require.NoError(t, err)
	require.Len(t, left, 1, "no other file is left over")
}
