package server_test

import (
	"context"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"github.com/droverhq/drover/eventlog/postgres/postgrestest"
	"github.com/droverhq/drover/internal/server"
)

// onWaiting returns a logger that calls do each time the server logs that it waits for its log.
func onWaiting(do func()) (*zap.Logger, *observer.ObservedLogs) {
	core, logged := observer.New(zapcore.WarnLevel)
	return zap.New(core, zap.Hooks(func(e zapcore.Entry) error {
		if strings.Contains(e.Message, "does not answer yet") {
			do()
		}
		return nil
	})), logged
}

func TestServerWaitsForItsDatabaseAtStart(t *testing.T) {
	database := postgrestest.Start(t, postgrestest.Config{Unsafe: true})
	url := database.URL()
	require.NoError(t, database.Stop(postgrestest.Fast))
	logger, logged := onWaiting(func() { _ = database.Start() })
	r := start(t, server.Config{Data: home(t), Log: url, Logger: logger})
	r.stopped(t)
	require.Len(t, logged.FilterMessageSnippet("does not answer yet").All(), 1)
}

func TestServerThatWaitsForItsDatabaseCanBeStopped(t *testing.T) {
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	logger, _ := onWaiting(stop)
	require.NoError(t, server.Run(ctx, server.Config{Data: home(t), Listen: "127.0.0.1:0",
		Log: "postgres://drover@127.0.0.1:1/drover", Logger: logger}))
}
