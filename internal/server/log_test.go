package server_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/droverhq/drover/eventlog/postgres/postgrestest"
	"github.com/droverhq/drover/internal/server"
)

func TestPostgreSQLLogIsOpenedByURL(t *testing.T) {
	database := postgrestest.Shared(t)
	url := database.URL("schema=" + database.Name())
	for _, address := range []string{url, strings.Replace(url, "postgres://", "postgresql://", 1)} {
		log, err := server.OpenLog(t.Context(), server.LogConfig{Address: address})
		require.NoError(t, err)
		head, err := log.Head(t.Context())
		require.NoError(t, err)
		require.Zero(t, head)
		require.NoError(t, log.Close())
	}
	_, err := server.OpenLog(t.Context(), server.LogConfig{Address: "postgres://drover:s3cret@127.0.0.1:1/db"})
	require.ErrorContains(t, err, "connection refused")
	require.NotContains(t, err.Error(), "s3cret")
}
