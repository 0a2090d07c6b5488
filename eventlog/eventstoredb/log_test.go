package eventstoredb_test

import (
	"context"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/droverhq/drover/eventlog"
	"github.com/droverhq/drover/eventlog/eventlogtest"
	"github.com/droverhq/drover/eventlog/eventstoredb"
	"github.com/droverhq/drover/eventlog/eventstoredb/eventstoredbtest"
)

func start(t testing.TB, config eventstoredbtest.Config) *eventstoredbtest.Cluster {
	t.Helper()
	cluster, err := eventstoredbtest.Start(config)
	require.NoError(t, err)
	t.Cleanup(cluster.Stop)
	return cluster
}

func open(t testing.TB, url string) *eventstoredb.Log {
	t.Helper()
	log, err := eventstoredb.Open(context.Background(), url, eventstoredb.Config{})
	require.NoError(t, err)
	t.Cleanup(func() { _ = log.Close() })
	return log
}

// exercise runs the conformance suite. Each log is in the same cluster; urlOf returns its URL from a parameter.
func exercise(t *testing.T, name string, urlOf func(parameter string) string) {
	var urls sync.Map // by log
	openAt := func(t testing.TB, url string) eventlog.Backend {
		log := open(t, url)
		urls.Store(log, url)
		return log
	}
	again := func(t testing.TB, log eventlog.Backend) eventlog.Backend {
		url, _ := urls.Load(log)
		return openAt(t, url.(string))
	}
	eventlogtest.Exercise(t, eventlogtest.Backend{
		Name:   name,
		Open:   func(t testing.TB) eventlog.Backend { return openAt(t, urlOf("log=test-"+uuid.NewString())) },
		Reopen: again,
		Second: again,
	})
}

func TestBackend(t *testing.T) {
	cluster := start(t, eventstoredbtest.Config{})
	exercise(t, "eventstoredb (test server)", func(parameter string) string { return cluster.URL(nil, parameter) })
}

// TestBackendWithSlowIndex runs the conformance suite on a server that indexes appends late. Repeats then often arrive
// before the first append is indexed.
func TestBackendWithSlowIndex(t *testing.T) {
	cluster := start(t, eventstoredbtest.Config{IndexDelay: time.Millisecond, CommitTimeout: 100 * time.Millisecond})
	exercise(t, "eventstoredb (test server with a slow index)",
		func(parameter string) string { return cluster.URL(nil, parameter) })
}

// TestBackendOnRealCluster runs the conformance suite on the cluster that DROVER_TEST_EVENTSTOREDB names.
func TestBackendOnRealCluster(t *testing.T) {
	url := os.Getenv("DROVER_TEST_EVENTSTOREDB")
	if url == "" {
		t.Skip("DROVER_TEST_EVENTSTOREDB is not set: make test-eventstoredb URL=esdb://...")
	}
	separator := "?"
	if strings.Contains(url, "?") {
		separator = "&"
	}
	exercise(t, "eventstoredb", func(parameter string) string { return url + separator + parameter })
}
