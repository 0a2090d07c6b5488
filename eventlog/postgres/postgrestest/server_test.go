package postgrestest_test

import (
	"context"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/droverhq/drover/eventlog/postgres/postgrestest"
)

func connect(t *testing.T, url string) *pgx.Conn {
	conn, err := pgx.Connect(context.Background(), url)
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close(context.Background()) })
	return conn
}

func TestServerRetainsDataAfterEveryStop(t *testing.T) {
	server := postgrestest.Start(t, postgrestest.Config{})
	server.Exec(t, `CREATE TABLE stored (n int)`)
	for n, mode := range []postgrestest.Mode{postgrestest.Fast, postgrestest.Immediate, postgrestest.Kill} {
		server.Exec(t, `INSERT INTO stored VALUES (1)`)
		require.NoError(t, server.Restart(mode))
		var rows int
		require.NoError(t, connect(t, server.SocketURL()).QueryRow(context.Background(),
			`SELECT count(*) FROM stored`).Scan(&rows))
		require.Equal(t, n+1, rows)
	}
}

func TestReplicaIsReadOnly(t *testing.T) {
	server := postgrestest.Start(t, postgrestest.Config{})
	replica := connect(t, server.Replica(t).URL())
	var follows bool
	require.NoError(t, replica.QueryRow(context.Background(), `SELECT pg_is_in_recovery()`).Scan(&follows))
	require.True(t, follows)
	_, err := replica.Exec(context.Background(), `CREATE TABLE mine (n int)`)
	require.ErrorContains(t, err, "read-only transaction")
}
