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

// sentence expects err to be one line, without a password, that has the words.
func sentence(t *testing.T, err error, words ...string) {
	t.Helper()
	require.Error(t, err)
	t.Log(err)
	text := err.Error()
	require.NotContains(t, text, "\n")
	require.Less(t, len(text), 400, text)
	for _, secret := range []string{postgrestest.Password, "correct%20horse", "s3cret"} {
		require.NotContains(t, text, secret)
	}
	for _, word := range words {
		require.Contains(t, text, word)
	}
}

// refused opens url, which must not work.
func refused(t *testing.T, url string) error {
	t.Helper()
	log, err := postgres.Open(context.Background(), url, postgres.Config{})
	if err == nil {
		require.NoError(t, log.Close())
	}
	require.Error(t, err, url)
	return err
}

// plain expects err to be none that callers try again for, nor a foreign log.
func plain(t *testing.T, err error) {
	t.Helper()
	require.NotErrorIs(t, err, eventlog.ErrUnavailable)
	require.NotErrorIs(t, err, eventlog.ErrForeign)
}

func TestAURLThatCannotBeUsedIsRefusedWithTheReasonAndWithoutThePassword(t *testing.T) {
	for url, words := range map[string]string{
		"postgres://drover:s3cret%zz@host/db":                     "write it as postgres://USER:PASSWORD@HOST:5432/DATABASE",
		"postgres://drover:s3cret/@host/db":                       "write it as postgres://USER:PASSWORD@HOST:5432/DATABASE",
		"mysql://drover:s3cret@host/db":                           "write it as postgres://USER:PASSWORD@HOST:5432/DATABASE",
		"postgres://drover:s3cret@host:99999/db":                  "port",
		"postgres://drover:s3cret@host/db?sslmode=s3cret-perhaps": "sslmode is invalid",
		"postgres://host/db?password=s3cret&sslmode=perhaps":      "sslmode is invalid",
		"postgres://drover:s3cret@host/db?pool_max_conns=many":    "pool_max_conns",
		"postgres://drover:s3cret@host/db?schema=":                "schema is empty",
		"postgres://drover:s3cret@host/db?schema=pg_mine":         "no name for a schema",
	} {
		err := refused(t, url)
		sentence(t, err, "open log", words)
		plain(t, err)
	}
}

func TestAServerThatDoesNotAnswerIsUnavailable(t *testing.T) {
	for url, words := range map[string]string{
		"postgres://drover:s3cret@127.0.0.1:1/db":     "connection refused",
		"postgres://drover:s3cret@nowhere.invalid/db": "nowhere.invalid",
		"postgres:///db?host=/nowhere":                "/nowhere",
	} {
		err := refused(t, url)
		sentence(t, err, "open log postgres://", words)
		require.ErrorIs(t, err, eventlog.ErrUnavailable)
	}
}

func TestAServerThatIsNoPostgreSQLIsNamed(t *testing.T) {
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
	err = refused(t, "postgres://drover:s3cret@"+listener.Addr().String()+"/db?sslmode=disable")
	sentence(t, err, listener.Addr().String())
	require.ErrorIs(t, err, eventlog.ErrUnavailable)
}

func TestWhatTheUserOfTheURLMustMendIsSaidAndNotTriedAgain(t *testing.T) {
	server := postgrestest.Shared(t)
	lesser := server.Name()
	server.Exec(t, "CREATE ROLE "+lesser+" LOGIN PASSWORD 's3cret'")
	for name, c := range map[string]struct{ url, words string }{
		"wrong password":   {server.URLAs(postgrestest.User, "s3cret", postgrestest.Database), "check both in the URL"},
		"wrong parameter":  {server.URLAs(postgrestest.User, postgrestest.Password, postgrestest.Database, "sslmod=disable"), "check how it is spelt"},
		"unknown user":     {server.URLAs("nobody", "s3cret", postgrestest.Database), "check both in the URL"},
		"no such database": {server.URLAs(postgrestest.User, postgrestest.Password, "nowhere"), "make it with CREATE DATABASE"},
		"no right":         {server.URLAs(lesser, "s3cret", postgrestest.Database, "schema="+server.Name()), "GRANT CREATE ON DATABASE"},
		"not granted":      {server.URLAs(lesser, "s3cret", postgrestest.Database, "schema="+made(t, server)), "the user lacks a right"},
		"no TLS there":     {strings.Replace(server.URL(), "sslmode=disable", "sslmode=require", 1), "TLS"},
	} {
		t.Run(name, func(t *testing.T) {
			err := refused(t, c.url)
			sentence(t, err, "open log postgres://", c.words)
			plain(t, err)
		})
	}
}

// made makes a log in a schema of its own and returns its name.
func made(t *testing.T, server *postgrestest.Server) string {
	schema := server.Name()
	require.NoError(t, open(t, server.URL("schema="+schema)).Close())
	return schema
}

func TestWhatIsNoLogOfThisDroverIsForeign(t *testing.T) {
	server := postgrestest.Shared(t)
	newer, other, emptied, unnamed, latin := made(t, server), server.Name(), made(t, server), server.Name(), server.Name()
	server.Exec(t, "UPDATE "+newer+".info SET format = 7")
	server.Exec(t, "CREATE SCHEMA "+other+"; CREATE TABLE "+other+".shop (n int)")
	server.Exec(t, "CREATE SCHEMA "+unnamed+"; CREATE TABLE "+unnamed+".info (n int)")
	server.Exec(t, "DELETE FROM "+emptied+".info")
	server.Exec(t, "CREATE DATABASE "+latin+" ENCODING 'LATIN1' TEMPLATE template0")
	for name, c := range map[string]struct {
		url, words string
		kind       error
	}{
		"newer format":     {server.URL("schema=" + newer), "the log has format 7 and this drover knows formats up to 1; use a newer drover", eventlog.ErrForeign},
		"another program":  {server.URL("schema=" + other), "holds tables of another program; name another with ?schema=NAME", eventlog.ErrForeign},
		"a table info":     {server.URL("schema=" + unnamed), "its schema is not drover's", eventlog.ErrForeign},
		"an encoding":      {server.URLAs(postgrestest.User, postgrestest.Password, latin), "ENCODING 'UTF8'", eventlog.ErrForeign},
		"a log without id": {server.URL("schema=" + emptied), "has lost its id; restore a backup", eventlog.ErrDamaged},
	} {
		t.Run(name, func(t *testing.T) {
			err := refused(t, c.url)
			sentence(t, err, "open log postgres://", c.words)
			require.ErrorIs(t, err, c.kind)
			require.NotErrorIs(t, err, eventlog.ErrUnavailable)
		})
	}
}

func TestALogOfAnotherIDIsForeignAndANewOneGetsTheIDItIsGiven(t *testing.T) {
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
	sentence(t, err, "the log there has the id "+given.String())
	require.ErrorIs(t, err, eventlog.ErrForeign)
	log, err = postgres.Open(ctx, url, postgres.Config{ID: given})
	require.NoError(t, err)
	require.NoError(t, log.Close())
}

func TestLookingAtALogThatIsNotThereMakesNone(t *testing.T) {
	url := fresh(postgrestest.Shared(t))
	for range 2 {
		_, err := postgres.Open(context.Background(), url, postgres.Config{Existing: true})
		sentence(t, err, "there is no log in the schema")
		plain(t, err)
	}
	require.NoError(t, open(t, url).Close())
	log, err := postgres.Open(context.Background(), url, postgres.Config{Existing: true})
	require.NoError(t, err)
	require.NoError(t, log.Close())
}

func TestAReadOnlyServerIsRefused(t *testing.T) {
	server := postgrestest.Start(t, postgrestest.Config{Unsafe: true})
	replica := server.Replica(t)
	err := refused(t, replica.URL())
	sentence(t, err, "read-only replica; name the primary")
	require.ErrorIs(t, err, eventlog.ErrForeign)

	log := open(t, strings.Replace(replica.URL(), replica.Address(), replica.Address()+","+server.Address(), 1))
	require.NoError(t, log.Close(), "of several hosts the primary is found")

	server.Exec(t, "ALTER DATABASE postgres SET default_transaction_read_only = on")
	err = refused(t, server.URL())
	sentence(t, err, "default_transaction_read_only is on")
	require.ErrorIs(t, err, eventlog.ErrForeign)
}

func TestAServerWithoutAConnectionLeftIsUnavailable(t *testing.T) {
	server := postgrestest.Shared(t)
	crowded := server.Name()
	server.Exec(t, "CREATE ROLE "+crowded+" LOGIN PASSWORD 's3cret' CONNECTION LIMIT 0")
	err := refused(t, server.URLAs(crowded, "s3cret", postgrestest.Database))
	sentence(t, err, "raise its max_connections")
	require.ErrorIs(t, err, eventlog.ErrUnavailable)
}
