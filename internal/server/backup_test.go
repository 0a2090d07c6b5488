package server_test

import (
	"io"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/droverhq/drover/api/client"
	"github.com/droverhq/drover/internal/server"
)

func TestBackupDeletesCopiesOfKilledServers(t *testing.T) {
	home(t)
	data := filepath.Join(t.TempDir(), "[data]") // the name is also a valid pattern
	r := start(t, server.Config{Data: data})
	defer r.stopped(t)
	stale, recent := filepath.Join(data, ".drover-backup-1"), filepath.Join(data, ".drover-backup-2")
	for _, folder := range []string{stale, recent} {
		require.NoError(t, os.Mkdir(folder, 0o700))
		require.NoError(t, os.WriteFile(filepath.Join(folder, "drover.db"), []byte("half"), 0o600))
	}
	old := time.Now().Add(-48 * time.Hour)
	require.NoError(t, os.Chtimes(stale, old, old))
	c := &client.Client{Servers: []string{r.address}, Token: contexts(t).List[0].Token}
	require.NoError(t, c.Download(t.Context(), "/log/backup", io.Discard))
	require.NoDirExists(t, stale)
	require.DirExists(t, recent, "another server may be sending it")
}
