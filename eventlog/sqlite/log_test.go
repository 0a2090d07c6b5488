package sqlite_test

import (
	"context"
	"path/filepath"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/droverhq/drover/eventlog"
	"github.com/droverhq/drover/eventlog/eventlogtest"
	"github.com/droverhq/drover/eventlog/sqlite"
)

func open(t testing.TB, path string) *sqlite.Log {
	t.Helper()
	log, err := sqlite.Open(context.Background(), path, sqlite.Config{})
	require.NoError(t, err)
	return log
}

func TestBackend(t *testing.T) {
	var paths sync.Map // by log
	openAt := func(t testing.TB, path string) eventlog.Backend {
		log := open(t, path)
		paths.Store(log, path)
		return log
	}
	reopen := func(t testing.TB, log eventlog.Backend) eventlog.Backend {
		path, _ := paths.Load(log)
		return openAt(t, path.(string))
	}
	eventlogtest.Exercise(t, eventlogtest.Backend{
		Name:   "sqlite",
		Open:   func(t testing.TB) eventlog.Backend { return openAt(t, filepath.Join(t.TempDir(), "drover.db")) },
		Reopen: reopen,
		Second: reopen,
	})
}
