package postgres_test

import (
	"context"
	"net"
	"strings"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/droverhq/drover/eventlog"
	"github.com/droverhq/drover/eventlog/postgres"
	"github.com/droverhq/drover/eventlog/postgres/postgrestest"
)

// requireMessage requires err to have a message on one line that contains all texts and no password.
func requireMessage(t *testing.T, err error, texts ...string) {
	t.Helper()
	require.Error(t, err)
	t.Log(err)
	message := err.Error()
	require.NotContains(t, message, "\n")
	require.Less(t, len(message), 400, message)
	for _, secret := range []string{postgrestest.Password, "correct%20horse", "s3cret"} {
		require.NotContains(t, message, secret)
	}
	for _, text := range texts {
		require.Contains(t, message, text)
	}
}

// openError returns the error of opening url.
func openError(t *testing.T, url string) error {
	t.Helper()
	log, err := postgres.Open(context.Background(), url, postgres.Config{})
	if err == nil {
		require.NoError(t, log.Close())
	}
	require.Error(t, err, url)
	return err
}

// requireNoKind requires err to be an error that the user must fix: not ErrUnavailable and not ErrForeign.
func requireNoKind(t *testing.T, err error) {
	t.Helper()
	require.NotErrorIs(t, err, eventlog.ErrUnavailable)
	require.NotErrorIs(t, err, eventlog.ErrForeign)
}

func TestInvalidURLErrorHasReasonAndNoPassword(t *testing.T) {
	for url, text := range map[string]string{
		"postgres://drover:s3cret%zz@host/db":                     "write it as postgres://USER:PASSWORD@HOST:5432/DATABASE",
		"postgres://drover:s3cret/@host/db":                       "write it as postgres://USER:PASSWORD@HOST:5432/DATABASE",
		"mysql://drover:s3cret@host/db":                           "write it as postgres://USER:PASSWORD@HOST:5432/DATABASE",
		"postgres://drover:s3cret@host:99999/db":                  "port",
		"postgres://drover:s3cret@host/db?sslmode=s3cret-perhaps": "sslmode is invalid",
		"postgres://host/db?password=s3cret&sslmode=perhaps":      "sslmode is invalid",
		"postgres://drover:s3cret@host/db?pool_max_conns=many":    "pool_max_conns",
		"postgres://drover:s3cret@host/db?schema=":                "schema is empty",
		"postgres://drover:s3cret@host/db?schema=pg_mine":         "invalid schema name",
	} {
		err := openError(t, url)
		requireMessage(t, err, "open log", text)
		requireNoKind(t, err)
	}
}

func TestUnreachableServerIsUnavailable(t *testing.T) {
	for url, text := range map[string]string{
		"postgres://drover:s3cret@127.0.0.1:1/db":                         "connection refused",
		"postgres://drover:s3cret@nowhere.invalid/db?sslmode=verify-full": "nowhere.invalid",
		"postgres:///db?host=/nowhere":                                    "/nowhere",
	} {
		err := openError(t, url)
		requireMessage(t, err, "open log postgres://", text)
		require.ErrorIs(t, err, eventlog.ErrUnavailable)
	}
}

func TestErrorNamesServerThatIsNotPostgreSQL(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer listener.Close()
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			_, _ = conn.Write([]byte("HTTP/1.1 400 Bad Request\r\n\r\n"))
			_ = conn.Close()
		}
	}()
	err = openError(t, "postgres://drover:s3cret@"+listener.Addr().String()+"/db?sslmode=disable")
	requireMessage(t, err, listener.Addr().String())
	require.ErrorIs(t, err, eventlog.ErrUnavailable)
}

func TestUserErrorsHaveHintAndNoKind(t *testing.T) {
	server := postgrestest.Shared(t)
	limited := server.Name()
	server.Exec(t, "CREATE ROLE "+limited+" LOGIN PASSWORD 's3cret'")
	for name, c := range map[string]struct{ url, text string }{
		"wrong password": {server.URLAs(postgrestest.User, "s3cret", postgrestest.Database), "check both in the URL"},
		"wrong parameter": {server.URLAs(postgrestest.User, postgrestest.Password, postgrestest.Database,
			"sslmod=disable"), "check its spelling"},
		"unknown user": {server.URLAs("nobody", "s3cret", postgrestest.Database), "check both in the URL"},
		"no such database": {server.URLAs(postgrestest.User, postgrestest.Password, "nowhere"),
			"create it with CREATE DATABASE"},
		"no permission to create": {server.URLAs(limited, "s3cret", postgrestest.Database,
			"schema="+server.Name()), "GRANT CREATE ON DATABASE"},
		"no permission to use": {server.URLAs(limited, "s3cret", postgrestest.Database,
			"schema="+createLog(t, server)), "the user lacks a permission"},
		"no TLS": {strings.Replace(server.URL(), "sslmode=disable", "sslmode=require", 1), "TLS"},
	} {
		t.Run(name, func(t *testing.T) {
			err := openError(t, c.url)
			requireMessage(t, err, "open log postgres://", c.text)
			requireNoKind(t, err)
		})
	}
}

// createLog creates a log in a new schema and returns the name of the schema.
func createLog(t *testing.T, server *postgrestest.Server) string {
	schema := server.Name()
	require.NoError(t, open(t, server.URL("schema="+schema)).Close())
	return schema
}

func TestUnsupportedSchemaIsForeign(t *testing.T) {
	server := postgrestest.Shared(t)
	newer, other, emptied, unnamed, latin := createLog(t, server), server.Name(), createLog(t,
		server), server.Name(), server.Name()
	server.Exec(t, "UPDATE "+newer+".info SET format = 7")
	server.Exec(t, "CREATE SCHEMA "+other+"; CREATE TABLE "+other+".shop (n int)")
	server.Exec(t, "CREATE SCHEMA "+unnamed+"; CREATE TABLE "+unnamed+".info (n int)")
	server.Exec(t, "DELETE FROM "+emptied+".info")
	server.Exec(t, "CREATE DATABASE "+latin+" ENCODING 'LATIN1' TEMPLATE template0")
	for name, c := range map[string]struct {
		url, text string
		kind      error
	}{
		"newer format": {server.URL("schema=" + newer),
			"unsupported log format 7 (this drover supports formats up to 1); use a newer drover", eventlog.ErrForeign},
		"another program": {server.URL("schema=" + other),
			"has tables of another program; select another with ?schema=NAME", eventlog.ErrForeign},
		"another table named info": {server.URL("schema=" + unnamed), "the schema belongs to another program",
			eventlog.ErrForeign},
		"another encoding": {server.URLAs(postgrestest.User, postgrestest.Password, latin), "ENCODING 'UTF8'",
			eventlog.ErrForeign},
		"log without id": {server.URL("schema=" + emptied), "the log has no id; restore a backup", eventlog.ErrDamaged},
	} {
		t.Run(name, func(t *testing.T) {
			err := openError(t, c.url)
			requireMessage(t, err, "open log postgres://", c.text)
			require.ErrorIs(t, err, c.kind)
			require.NotErrorIs(t, err, eventlog.ErrUnavailable)
		})
	}
}

func TestConfiguredIDIsUsedForNewLogAndRequiredOfExistingOne(t *testing.T) {
	ctx := context.Background()
	url := fresh(postgrestest.Shared(t))
	given := uuid.New()
	log, err := postgres.Open(ctx, url, postgres.Config{ID: given})
	require.NoError(t, err)
	id, err := log.ID(ctx)
	require.NoError(t, err)
	require.Equal(t, given, id)
	require.NoError(t, log.Close())
	_, err = postgres.Open(ctx, url, postgres.Config{ID: uuid.New()})
	requireMessage(t, err, "the existing log has the id "+given.String())
	require.ErrorIs(t, err, eventlog.ErrForeign)
	log, err = postgres.Open(ctx, url, postgres.Config{ID: given})
	require.NoError(t, err)
	require.NoError(t, log.Close())
}

func TestExistingDoesNotCreateLog(t *testing.T) {
	url := fresh(postgrestest.Shared(t))
	for range 2 {
		_, err := postgres.Open(context.Background(), url, postgres.Config{Existing: true})
		requireMessage(t, err, "there is no log in the schema")
		requireNoKind(t, err)
	}
	require.NoError(t, open(t, url).Close())
	log, err := postgres.Open(context.Background(), url, postgres.Config{Existing: true})
	require.NoError(t, err)
	require.NoError(t, log.Close())
}

func TestReadOnlyServerIsRefused(t *testing.T) {
	server := postgrestest.Start(t, postgrestest.Config{Unsafe: true})
	replica := server.Replica(t)
	err := openError(t, replica.URL())
	requireMessage(t, err, "read-only replica; use the primary")
	require.ErrorIs(t, err, eventlog.ErrForeign)

	log := open(t, strings.Replace(replica.URL(), replica.Address(), replica.Address()+","+server.Address(), 1))
	require.NoError(t, log.Close(), "the primary is found among several hosts")

	server.Exec(t, "ALTER DATABASE postgres SET default_transaction_read_only = on")
	err = openError(t, server.URL())
	requireMessage(t, err, "default_transaction_read_only is on")
	require.ErrorIs(t, err, eventlog.ErrForeign)
}

func TestServerWithTooManyConnectionsIsUnavailable(t *testing.T) {
	server := postgrestest.Shared(t)
	full := server.Name()
	server.Exec(t, "CREATE ROLE "+full+" LOGIN PASSWORD 's3cret' CONNECTION LIMIT 0")
	err := openError(t, server.URLAs(full, "s3cret", postgrestest.Database))
	requireMessage(t, err, "increase its max_connections")
	require.ErrorIs(t, err, eventlog.ErrUnavailable)
}
