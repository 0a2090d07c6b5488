package cli_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/droverhq/drover/api/client"
	"github.com/droverhq/drover/api/client/clienttest"
	"github.com/droverhq/drover/eventlog"
	"github.com/droverhq/drover/eventlog/sqlite"
	"github.com/droverhq/drover/internal/config"
	"github.com/droverhq/drover/internal/harness/harnesstest"
)

func (s *fixture) contexts() config.Contexts {
	s.t.Helper()
	all, err := config.ReadContexts(filepath.Join(s.Folder, ".config", "drover", "contexts.json"))
	require.NoError(s.t, err)
	return all
}

// lines counts how often the step of shop ran on a machine.
func lines(t *testing.T, ran, machine string) int {
	text, err := os.ReadFile(ran)
	require.NoError(t, err)
	return strings.Count("\n"+string(text), "\n"+machine+" ")
}

// eightWriters create releases until stop is called.
func (s *fixture) eightWriters() (acknowledged *atomic.Int64, stop func()) {
	acknowledged = &atomic.Int64{}
	ctx, cancel := context.WithCancel(context.Background())
	c := &client.Client{Servers: []string{s.url()}, Token: s.contexts().List[0].Token}
	var all sync.WaitGroup
	for w := range 8 {
		all.Go(func() {
			for n := 0; ctx.Err() == nil; n++ {
				body := map[string]any{"version": fmt.Sprintf("0.%d.%d", w, n)}
				if _, err := c.Write(ctx, client.Path("projects", "shop", "releases"), "", body); err == nil {
					acknowledged.Add(1)
				}
			}
		})
	}
	return acknowledged, func() { cancel(); all.Wait() }
}

// releases counts the releases of eightWriters in the log at path.
func releases(t *testing.T, path string) (count int64) {
	log, err := sqlite.Open(context.Background(), path, sqlite.Config{})
	require.NoError(t, err)
	defer log.Close()
	_, err = eventlog.Verify(context.Background(), log, nil)
	require.NoError(t, err)
	for rec, err := range log.ReadAll(context.Background(), 0, 0) {
		require.NoError(t, err)
		if strings.HasPrefix(rec.Type, "release.") && strings.Contains(string(rec.Data), `"0.`) {
			count++
		}
	}
	return count
}

// restore replaces the log with a backup.
func (s *fixture) restore(backup string) {
	s.t.Helper()
	log := filepath.Join(s.data, "drover.db")
	for _, end := range []string{"-wal", "-shm", ".ephemera"} {
		if err := os.Remove(log + end); err != nil {
			require.ErrorIs(s.t, err, os.ErrNotExist)
		}
	}
	content, err := os.ReadFile(backup)
	require.NoError(s.t, err)
	require.NoError(s.t, os.WriteFile(log, content, 0o600))
}

func TestBackupTakenUnderLoadRestoresWithoutRedeployment(t *testing.T) {
	t.Parallel()
	s := newFixture(t)
	serving := s.server()
	ran := s.shop()
	s.ok("release", "create", "shop", "1.0")
	s.ok("deploy", "shop", "1.0", "--to", "production", "--wait", "--allow-empty", "--timeout", "60s")
	s.agent("web-01")
	s.eventually("web-01 has 1.0", func() bool { return s.has("web-01", "1.0") })

	pinned := s.contexts().List[0].ServerKey
	require.NotEmpty(t, pinned)
	backup := filepath.Join(s.Folder, "backup.db")
	acknowledged, stop := s.eightWriters()
	defer stop()
	s.eventually("the writers write", func() bool { return acknowledged.Load() > 50 })
	before := acknowledged.Load()
	_, words, code := s.run("eventlog", "backup", backup)
	require.Zero(t, code, words)
	require.Contains(t, words, "every event is intact")
	after := acknowledged.Load()
	s.eventually("the writers still write", func() bool { return acknowledged.Load() > after })
	stop()
	require.GreaterOrEqual(t, releases(t, backup), before, "the backup contains every release acknowledged before it")
	left, err := filepath.Glob(filepath.Join(s.data, ".drover-backup-*"))
	require.NoError(t, err)
	require.Empty(t, left, "the server deleted its copy")

	s.ok("release", "create", "shop", "2.0")
	s.ok("deploy", "shop", "2.0", "--to", "production", "--wait", "--timeout", "60s")
	require.Equal(t, 2, lines(t, ran, "web-01"))
	require.Zero(t, harnesstest.Stop(serving), "exit code")
	s.restore(backup)
	serving = s.startServer()
	s.eventually("the agent reports the lost events", func() bool {
		_, words, code := s.run("release", "create", "shop", "3.0")
		return code == 6 && strings.Contains(words, "this log has lost events")
	})
	s.ok("eventlog", "accept-restore")
	s.eventually("web-01 is held",
		func() bool { return strings.Contains(s.ok("get", "machine", "web-01", "-o", "json"), `"held": true`) })
	s.agent("web-02")
	s.eventually("drover decides again", func() bool { return s.has("web-02", "1.0") })
	require.Equal(t, 2, lines(t, ran, "web-01"), "web-01 was not deployed to again")

	contexts := s.contexts()
	require.Zero(t, harnesstest.Stop(serving), "exit code")
	s.server()
	s.ok("get", "servers")
	require.Equal(t, contexts, s.contexts(), "no second context of the same log")
	require.Len(t, s.contexts().List, 1)
	require.Equal(t, pinned, s.contexts().List[0].ServerKey, "a restore keeps the server key")
	require.Equal(t, pinned, s.ok("server-key", "show"))
}

func TestIncompleteBackupIsDetectedAndRemoved(t *testing.T) {
	t.Parallel()
	s := newFixture(t)
	s.server()
	s.shop()
	whole := filepath.Join(s.Folder, "whole.db")
	s.ok("eventlog", "backup", whole)
	content, err := os.ReadFile(whole)
	require.NoError(t, err)
	half := len(content) / 2
	flipped := []byte(strings.Replace(string(content), `machine.`, `machinf.`, 1))
	flipped = []byte(strings.Replace(string(flipped), `"production"`, `"produktion"`, 1))
	for name, c := range map[string]struct {
		answer http.HandlerFunc
		words  string
	}{
		"truncated, with a Content-Length": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", fmt.Sprint(len(content)))
			_, _ = w.Write(content[:half])
			panic(http.ErrAbortHandler)
		}, "was cut off after"},
		"truncated between chunks": {func(w http.ResponseWriter, _ *http.Request) {
			_, _ = w.Write(content[:half])
			_ = http.NewResponseController(w).Flush()
			panic(http.ErrAbortHandler)
		}, "was cut off after"},
		"truncated without an error": {func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(content[:half]) },
			"is damaged and was deleted"},
		"changed in transit": {func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(flipped) },
			"is damaged and was deleted"},
		"not a log": {func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("<html>")) },
			"is damaged and was deleted"},
		"empty": {func(http.ResponseWriter, *http.Request) {}, "is damaged and was deleted"},
	} {
		t.Run(name, func(t *testing.T) {
			folder := t.TempDir()
			_, words, code := s.run("eventlog", "backup", filepath.Join(folder, "copy.db"), "--server",
				answering(t, clienttest.Proves("id.x", c.answer)), "--token", "id.x", "-o", "json")
			require.Equal(t, 1, code, words)
			require.Contains(t, words, c.words)
			require.True(t, json.Valid([]byte(words)), words)
			left, err := os.ReadDir(folder)
			require.NoError(t, err)
			require.Empty(t, left)
		})
	}
}
