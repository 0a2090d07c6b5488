package server_test

import (
	"context"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/droverhq/drover/domain"
	"github.com/droverhq/drover/engine"
	"github.com/droverhq/drover/eventlog"
	"github.com/droverhq/drover/internal/clock"
	"github.com/droverhq/drover/internal/ids"
	"github.com/droverhq/drover/internal/server"
)

// restoredLog returns a log in which the next tick deploys to a machine. A server that has stopped has left a lease
// that reports the log as restored.
func restoredLog(t *testing.T, data string) (log eventlog.Backend, witness domain.ID) {
	t.Helper()
	ctx := t.Context()
	log, err := server.OpenLog(ctx, server.LogConfig{Data: data})
	require.NoError(t, err)
	t.Cleanup(func() { log.Close() })
	e, err := engine.Open(ctx, engine.Config{Log: log, Clock: clock.New(), Server: ids.New()})
	require.NoError(t, err)
	require.NoError(t, e.Start(ctx))
	for _, c := range []domain.Command{
		domain.ApplyEnvironment{Name: "production"},
		domain.ApplyProject{Name: "shop", Settings: domain.ProjectSettings{Steps: []domain.Step{{Name: "install",
			Run: "true"}}}},
		domain.ApplyTrigger{Project: "shop", Name: "joins", Settings: domain.TriggerSettings{
			Events: []domain.Category{domain.AvailableGroup}, Environments: []string{"production"}}},
		domain.CreateRelease{Project: "shop", Version: "1.0"},
		domain.Deploy{Project: "shop", Release: "1.0", Environment: "production"},
		domain.ApplyMachine{Name: "web-01", Environment: "production"},
		domain.ConnectMachine{Name: "web-01", Server: e.Server(), Session: ids.New(), Instance: ids.New()},
	} {
		_, err := e.Handle(ctx, ids.New(), c)
		require.NoError(t, err)
		_, err = e.React(ctx)
		require.NoError(t, err)
	}
	e.ReportLostEvents("a client remembers a later position")
	require.NoError(t, e.RenewLease(ctx, log))
	return log, e.Server()
}

func queued(t *testing.T, log eventlog.Log) (count int) {
	t.Helper()
	for rec, err := range log.ReadAll(context.Background(), 0, 0) {
		require.NoError(t, err)
		if domain.NameOfType(rec.Type) == "DeploymentQueued" {
			count++
		}
	}
	return count
}

// reportsRestore reports whether a server has detected that its log was restored.
func (r running) reportsRestore(t *testing.T) bool {
	t.Helper()
	answer, err := http.Get(r.address + "/metrics")
	require.NoError(t, err)
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	require.NoError(t, err)
	return strings.Contains(string(text), "\ndrover_log_doubted 1\n")
}

func TestRestoredLogIsDetectedFromTheLeaseOfAnotherServer(t *testing.T) {
	data := home(t)
	log, witness := restoredLog(t, data)
	first := start(t, server.Config{Data: data})
	require.True(t, first.reportsRestore(t))
	first.stopped(t)

	require.NoError(t, log.Drop(t.Context(), eventlog.Leases, witness.String()))
	second := start(t, server.Config{Data: data})
	require.True(t, second.reportsRestore(t), "the first server kept its lease when it stopped")
	second.stopped(t)
	require.Equal(t, 1, queued(t, log))

	all, err := log.Newest(t.Context(), eventlog.Leases)
	require.NoError(t, err)
	for server := range all {
		require.NoError(t, log.Drop(t.Context(), eventlog.Leases, server))
	}
	third := start(t, server.Config{Data: data})
	require.False(t, third.reportsRestore(t))
	require.Eventually(t, func() bool { return queued(t, log) == 2 }, 20*time.Second, 20*time.Millisecond,
		"without the leases, the server deploys")
	third.stopped(t) // the server writes to the data folder until it has stopped
}
