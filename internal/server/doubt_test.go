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

// due is a log in which a machine waits for its release and the next tick will deploy to it. A server that is not there
// any more has left a doubt in its lease.
func due(t *testing.T, data string) (log eventlog.Backend, doubting domain.ID) {
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
		domain.ApplyProject{Name: "shop", Settings: domain.ProjectSettings{Steps: []domain.Step{{Name: "install", Run: "true"}}}},
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
	e.ReportLostEvents("somebody remembers more")
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

// doubts asks a server that has just begun to serve.
func (r running) doubts(t *testing.T) bool {
	t.Helper()
	answer, err := http.Get(r.address + "/metrics")
	require.NoError(t, err)
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	require.NoError(t, err)
	return strings.Contains(string(text), "\ndrover_log_doubted 1\n")
}

func TestAServerThatStartsDecidesNothingOnALogThatAnotherDoubts(t *testing.T) {
	data := home(t)
	log, doubting := due(t, data)
	first := start(t, server.Config{Data: data})
	require.True(t, first.doubts(t))
	first.stopped(t)

	require.NoError(t, log.Drop(t.Context(), eventlog.Leases, doubting.String()))
	second := start(t, server.Config{Data: data})
	require.True(t, second.doubts(t), "the one that heard of the doubt has left it when it stopped")
	second.stopped(t)
	require.Equal(t, 1, queued(t, log))

	all, err := log.Newest(t.Context(), eventlog.Leases)
	require.NoError(t, err)
	for server := range all {
		require.NoError(t, log.Drop(t.Context(), eventlog.Leases, server))
	}
	third := start(t, server.Config{Data: data})
	require.False(t, third.doubts(t))
	require.Eventually(t, func() bool { return queued(t, log) == 2 }, 20*time.Second, 20*time.Millisecond, "it was the doubt that kept them from it")
	third.stopped(t) // it writes to the folder until it has ended
}
