package server

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/droverhq/drover/domain"
)

func TestServerKnowsWhichServersOfItsFolderWereKilled(t *testing.T) {
	folder := t.TempDir()
	mark := func(id byte) (runningFile, []domain.ID) {
		own, killed, err := markRunning(folder, domain.ID{15: id})
		require.NoError(t, err)
		return own, killed
	}
	first, killed := mark(1)
	require.Empty(t, killed)
	second, killed := mark(2)
	require.Empty(t, killed, "two servers run in one folder")
	second.close()

	require.NoError(t, first.file.Close()) // as the end of its process does
	third, killed := mark(3)
	require.Equal(t, []domain.ID{{15: 1}}, killed)
	third.close()
	_, killed = mark(4)
	require.Equal(t, []domain.ID{{15: 1}}, killed, "its lease could not be dropped yet")
}

func TestOtherFilesInTheRunningFolderAreIgnored(t *testing.T) {
	folder := t.TempDir()
	running := filepath.Join(folder, runningFolder)
	require.NoError(t, os.MkdirAll(filepath.Join(running, domain.ID{15: 9}.String()), 0o700))
	require.NoError(t, os.WriteFile(filepath.Join(running, "note"), nil, 0o600))
	own, killed, err := markRunning(folder, domain.ID{15: 1})
	require.NoError(t, err)
	require.Empty(t, killed)
	own.close()
}
