package server_test

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/droverhq/drover/eventlog"
	"github.com/droverhq/drover/internal/server"
)

func TestAServerThatRunsLeavesASnapshotOnceEnoughHasHappened(t *testing.T) {
	data := home(t)
	log, err := server.OpenLog(t.Context(), server.LogConfig{Data: data})
	require.NoError(t, err)
	at := eventlog.NoStream
	for range 41 {
		events := make([]eventlog.Event, 500)
		for i := range events {
			events[i] = eventlog.Event{ID: uuid.New(), Type: "policy.deleted/v1", Data: []byte(`{}`), Time: time.Now().UTC()}
		}
		appended, err := log.Append(t.Context(), "policy/default", at, events...)
		require.NoError(t, err)
		at = appended.Revision
	}
	require.NoError(t, log.Close())
	running := start(t, server.Config{Data: data, Tick: time.Second})
	require.Eventually(t, func() bool {
		_, err := os.Stat(filepath.Join(data, "snapshot"))
		return err == nil
	}, time.Minute, 10*time.Millisecond)
	running.stopped(t)
}

func TestAServerThatStopsLeavesASnapshotAndStartsWithoutOneAsWell(t *testing.T) {
	data := home(t)
	kept := filepath.Join(data, "snapshot")
	start(t, server.Config{Data: data}).stopped(t)
	info, err := os.Stat(kept)
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o600), info.Mode().Perm(), "it holds what the log holds")

	const unused = "the snapshot is not used; the whole log is folded"
	for name, c := range map[string]struct {
		spoil func()
		told  int
	}{
		"as it was left": {func() {}, 0},
		"gone":           {func() { require.NoError(t, os.Remove(kept)) }, 0},
		"empty":          {func() { require.NoError(t, os.Truncate(kept, 0)) }, 0},
		"cut short":      {func() { require.NoError(t, os.Truncate(kept, 100)) }, 1},
		"no file":        {func() { require.NoError(t, os.Remove(kept)); require.NoError(t, os.Mkdir(kept, 0o700)) }, 1},
	} {
		t.Run(name, func(t *testing.T) {
			c.spoil()
			core, lines := observer.New(zap.WarnLevel)
			start(t, server.Config{Data: data, Logger: zap.New(core)}).stopped(t)
			require.Equal(t, c.told, lines.FilterMessage(unused).Len(), "%v", lines.All())
			require.NoError(t, os.RemoveAll(kept))
			start(t, server.Config{Data: data}).stopped(t)
			require.FileExists(t, kept)
			require.NoFileExists(t, kept+".new", "nothing half-written is left")
		})
	}
}
