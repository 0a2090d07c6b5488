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

func TestRunningServerStoresSnapshotAfterManyEvents(t *testing.T) {
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

func TestStoppedServerStoresSnapshotAndCanStartWithoutOne(t *testing.T) {
	data := home(t)
	path := filepath.Join(data, "snapshot")
	start(t, server.Config{Data: data}).stopped(t)
	info, err := os.Stat(path)
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o600), info.Mode().Perm(), "a snapshot is as confidential as the log")

	const unused = "snapshot ignored; folding the whole log"
	for name, c := range map[string]struct {
		change   func()
		warnings int
	}{
		"unchanged": {func() {}, 0},
		"deleted":   {func() { require.NoError(t, os.Remove(path)) }, 0},
		"empty":     {func() { require.NoError(t, os.Truncate(path, 0)) }, 0},
		"truncated": {func() { require.NoError(t, os.Truncate(path, 100)) }, 1},
		"a folder":  {func() { require.NoError(t, os.Remove(path)); require.NoError(t, os.Mkdir(path, 0o700)) }, 1},
	} {
		t.Run(name, func(t *testing.T) {
			c.change()
			core, lines := observer.New(zap.WarnLevel)
			start(t, server.Config{Data: data, Logger: zap.New(core)}).stopped(t)
			require.Equal(t, c.warnings, lines.FilterMessage(unused).Len(), "%v", lines.All())
			require.NoError(t, os.RemoveAll(path))
			start(t, server.Config{Data: data}).stopped(t)
			require.FileExists(t, path)
			require.NoFileExists(t, path+".new", "no temporary file is left")
		})
	}
}
