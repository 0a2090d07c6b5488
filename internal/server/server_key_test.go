package server_test

import (
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/droverhq/drover/domain"
	"github.com/droverhq/drover/engine"
	"github.com/droverhq/drover/eventlog/postgres/postgrestest"
	"github.com/droverhq/drover/internal/clock"
	"github.com/droverhq/drover/internal/config"
	"github.com/droverhq/drover/internal/ids"
	"github.com/droverhq/drover/internal/server"
)

// keysIn returns the number of keys that were recorded in a log, and the current one.
func keysIn(t *testing.T, log string) (recorded int, key string) {
	t.Helper()
	opened, err := server.OpenLog(t.Context(), server.LogConfig{Address: log, Existing: true})
	require.NoError(t, err)
	defer opened.Close()
	for _, err := range opened.ReadStream(t.Context(), domain.ServerKeyStream, 0, 0) {
		require.NoError(t, err)
		recorded++
	}
	public, err := server.ServerKeyOfLog(t.Context(), opened)
	require.NoError(t, err)
	return recorded, public.String()
}

func TestServersThatStartAtOnceHaveOneKey(t *testing.T) {
	home(t)
	database := postgrestest.Shared(t)
	for name, log := range map[string]string{
		"SQLite":     "sqlite:" + filepath.Join(t.TempDir(), "drover.db"),
		"PostgreSQL": database.URL("schema=" + database.Name()),
	} {
		t.Run(name, func(t *testing.T) {
			opened, err := server.OpenLog(t.Context(), server.LogConfig{Address: log})
			require.NoError(t, err)
			require.NoError(t, opened.Close())
			servers := make([]running, 4)
			var all sync.WaitGroup
			for i := range servers {
				data := t.TempDir()
				all.Go(func() { servers[i] = start(t, server.Config{Data: data, Log: log}) })
			}
			all.Wait()
			for _, r := range servers {
				r.stopped(t)
			}
			recorded, key := keysIn(t, log)
			require.Equal(t, 1, recorded)
			require.NotEmpty(t, key)
		})
	}
}

func TestContextListsTheOtherServersOfTheLog(t *testing.T) {
	data := home(t)
	start(t, server.Config{Data: data}).stopped(t)
	log, err := server.OpenLog(t.Context(), server.LogConfig{Data: data})
	require.NoError(t, err)
	defer log.Close()
	for _, address := range []string{"https://drover-2.example:7070", "http://127.0.0.1:1", "https://drover-3.example:7070"} {
		other, err := engine.Open(t.Context(), engine.Config{Log: log, Clock: clock.New(), Server: ids.New(),
			Address: address})
		require.NoError(t, err)
		require.NoError(t, other.Start(t.Context()))
		require.NoError(t, other.RenewLease(t.Context(), log))
	}
	r := start(t, server.Config{Data: data})
	require.Eventually(t, func() bool { return len(contexts(t).List[0].Servers) > 3 }, 20*time.Second, 10*time.Millisecond)
	servers := contexts(t).List[0].Servers
	require.Contains(t, servers, r.address)
	require.Equal(t, []string{"https://drover-2.example:7070", "https://drover-3.example:7070"}, servers[2:],
		"127.0.0.1 is another machine's")
	r.stopped(t)
}

func TestServerPinsItsKeyAndSocketInTheContextOfItsUser(t *testing.T) {
	data := home(t)
	start(t, server.Config{Data: data}).stopped(t)
	_, key := keysIn(t, "sqlite:"+filepath.Join(data, "drover.db"))
	c := contexts(t).List[0]
	require.Equal(t, key, c.ServerKey)
	require.Equal(t, []string{"unix://" + filepath.Join(data, "drover.sock")}, c.Sockets)

	// a context of an earlier version has no key; after a rotation it has another one
	path, err := config.ContextsPath()
	require.NoError(t, err)
	for range 2 {
		require.NoError(t, config.ChangeContexts(path, func(all *config.Contexts) (bool, error) {
			all.List[0].ServerKey = ""
			return true, nil
		}))
		start(t, server.Config{Data: data}).stopped(t)
		require.Equal(t, key, contexts(t).List[0].ServerKey)

		log, err := server.OpenLog(t.Context(), server.LogConfig{Data: data})
		require.NoError(t, err)
		rotated, err := server.RotateServerKeyInLog(t.Context(), log, "a test")
		require.NoError(t, err)
		require.NoError(t, log.Close())
		require.NotEqual(t, key, rotated.String())
		start(t, server.Config{Data: data}).stopped(t)
		require.Equal(t, rotated.String(), contexts(t).List[0].ServerKey)
		key = rotated.String()
	}
}
