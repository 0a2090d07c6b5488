package postgres_test

import (
	"context"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/droverhq/drover/eventlog"
	"github.com/droverhq/drover/eventlog/eventlogtest"
	"github.com/droverhq/drover/eventlog/postgres"
	"github.com/droverhq/drover/eventlog/postgres/postgrestest"
)

func open(t testing.TB, url string) *postgres.Log {
	t.Helper()
	log, err := postgres.Open(context.Background(), url, postgres.Config{})
	require.NoError(t, err)
	return log
}

// fresh returns the URL of an empty schema of server.
func fresh(server *postgrestest.Server) string { return server.URL("schema=" + server.Name()) }

func TestBackend(t *testing.T) {
	var urls sync.Map // by log
	openAt := func(t testing.TB, url string) eventlog.Backend {
		log := open(t, url)
		urls.Store(log, url)
		return log
	}
	reopen := func(t testing.TB, log eventlog.Backend) eventlog.Backend {
		url, _ := urls.Load(log)
		return openAt(t, url.(string))
	}
	server := postgrestest.Shared(t)
	eventlogtest.Exercise(t, eventlogtest.Backend{
		Name:   "postgres",
		Open:   func(t testing.TB) eventlog.Backend { return openAt(t, fresh(server)) },
		Reopen: reopen,
		Second: reopen,
	})
}
