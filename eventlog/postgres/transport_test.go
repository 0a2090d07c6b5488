package postgres_test

import (
	"context"
	"net"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgproto3"
	"github.com/stretchr/testify/require"

	"github.com/droverhq/drover/eventlog"
	"github.com/droverhq/drover/eventlog/postgres"
	"github.com/droverhq/drover/eventlog/postgres/postgrestest"
	"github.com/droverhq/drover/internal/transport/transporttest"
)

// refusedReason opens a log and returns why the transport of its URL was refused; empty if it was not. A URL that is
// not refused names a host that does not exist.
func refusedReason(t *testing.T, address string, config postgres.Config) string {
	t.Helper()
	config.Timeout = time.Second
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	log, err := postgres.Open(ctx, address, config)
	if err == nil {
		require.NoError(t, log.Close())
		return ""
	}
	require.NotContains(t, err.Error(), "s3cret")
	if strings.Contains(err.Error(), "--insecure") {
		require.NotErrorIs(t, err, eventlog.ErrUnavailable, "waiting cannot help")
		return err.Error()
	}
	require.ErrorIs(t, err, eventlog.ErrUnavailable)
	return ""
}

func TestServerBeyondLoopbackNeedsVerifiedTLS(t *testing.T) {
	ca := "sslrootcert=" + url.QueryEscape(transporttest.NewAuthority(t).File)
	for address, want := range map[string]string{
		"postgres://drover:s3cret@db.invalid/drover":                           "certificate of PostgreSQL on db.invalid is not verified",
		"postgres://drover:s3cret@db.invalid/drover?sslmode=disable":           "traffic to PostgreSQL on db.invalid is not encrypted",
		"postgres://drover:s3cret@db.invalid/drover?sslmode=allow":             "traffic to PostgreSQL on db.invalid is not encrypted",
		"postgres://drover:s3cret@db.invalid/drover?sslmode=prefer":            "certificate of PostgreSQL on db.invalid is not verified",
		"postgres://drover:s3cret@db.invalid/drover?sslmode=require":           "certificate of PostgreSQL on db.invalid is not verified",
		"postgres://drover:s3cret@db.invalid/drover?sslmode=verify-ca":         "for any host",
		"postgres://drover:s3cret@[2001:db8::1]:5432/drover?sslmode=disable":   "traffic to PostgreSQL on 2001:db8::1 is not encrypted",
		"postgres://drover:s3cret@127.0.0.1,db.invalid/drover?sslmode=disable": "traffic to PostgreSQL on db.invalid is not encrypted",
		"postgres://drover:s3cret@/drover?host=192.0.2.1&sslmode=disable":      "traffic to PostgreSQL on 192.0.2.1 is not encrypted",
		"postgres://drover:s3cret@db.invalid/drover?sslmode=verify-full":       "",
		"postgres://drover:s3cret@db.invalid/drover?sslmode=verify-full&" + ca: "",
		"postgres://drover:s3cret@db.invalid/drover?sslmode=verify-ca&" + ca:   "",
		"postgres://drover:s3cret@db.invalid/drover?sslmode=require&" + ca:     "",
		"postgres://drover:s3cret@127.0.0.1:1/drover":                          "",
		"postgres://drover:s3cret@[::1]:1/drover?sslmode=disable":              "",
		"postgres://drover:s3cret@localhost:1/drover?sslmode=disable":          "",
		"postgres://drover:s3cret@/drover?host=%2Fnowhere&port=1":              "",
	} {
		reason := refusedReason(t, address, postgres.Config{})
		if want == "" {
			require.Empty(t, reason, address)
			continue
		}
		require.Contains(t, reason, want, address)
		require.Contains(t, reason, "sslmode=verify-full", address)
		require.Empty(t, refusedReason(t, address, postgres.Config{Insecure: true}), address)
	}
}

func TestLogOverVerifiedTLS(t *testing.T) {
	authority, other := transporttest.NewAuthority(t), transporttest.NewAuthority(t)
	cert, key := authority.Issue("127.0.0.1")
	s := postgrestest.Start(t, postgrestest.Config{Unsafe: true, CertFile: cert, KeyFile: key})
	secure := func(ca string) string {
		return strings.Replace(s.URL("sslrootcert="+url.QueryEscape(ca)), "sslmode=disable", "sslmode=verify-full", 1)
	}
	log, err := postgres.Open(t.Context(), secure(authority.File), postgres.Config{})
	require.NoError(t, err)
	defer log.Close()
	require.Empty(t, log.Exposed())
	conn, err := pgx.Connect(t.Context(), s.URL())
	require.NoError(t, err)
	defer func() { _ = conn.Close(t.Context()) }()
	var unprotected int
	require.NoError(t, conn.QueryRow(t.Context(), `SELECT count(*) FROM pg_stat_ssl JOIN pg_stat_activity USING (pid)
		WHERE application_name = 'drover' AND version IS DISTINCT FROM 'TLSv1.3'`).Scan(&unprotected))
	require.Zero(t, unprotected)

	_, err = postgres.Open(t.Context(), secure(other.File), postgres.Config{Timeout: time.Second})
	require.ErrorContains(t, err, "certificate")
}

// impostor is a program on the port of PostgreSQL that asks for the password in plain text. It returns its address, and
// a channel that receives each password.
func impostor(t *testing.T) (address string, passwords <-chan string) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { _ = listener.Close() })
	sent := make(chan string, 10)
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go askForPassword(conn, sent)
		}
	}()
	return listener.Addr().String(), sent
}

func askForPassword(conn net.Conn, sent chan<- string) {
	defer conn.Close()
	server := pgproto3.NewBackend(conn, conn)
	if first, err := server.ReceiveStartupMessage(); err != nil {
		return
	} else if _, ok := first.(*pgproto3.SSLRequest); ok {
		_, _ = conn.Write([]byte("N"))
		if _, err = server.ReceiveStartupMessage(); err != nil {
			return
		}
	}
	server.Send(&pgproto3.AuthenticationCleartextPassword{})
	_ = server.SetAuthType(pgproto3.AuthTypeCleartextPassword)
	if server.Flush() != nil {
		return
	}
	if answer, err := server.Receive(); err == nil {
		if password, ok := answer.(*pgproto3.PasswordMessage); ok {
			sent <- password.Password
		}
	}
}

func TestPasswordIsNotSentToAnotherProgramOnThePort(t *testing.T) {
	address, passwords := impostor(t)
	for _, parameters := range []string{"", "?sslmode=disable", "?sslmode=prefer"} {
		_, err := postgres.Open(t.Context(), "postgres://drover:s3cret@"+address+"/drover"+parameters, postgres.Config{})
		require.ErrorContains(t, err, "the server did not authenticate with SCRAM-SHA-256")
		require.NotErrorIs(t, err, eventlog.ErrUnavailable, "waiting cannot help")
		require.Empty(t, passwords)
	}
	_, err := postgres.Open(t.Context(), "postgres://drover:s3cret@"+address+"/drover?sslmode=disable&require_auth=password",
		postgres.Config{Timeout: time.Second})
	require.Error(t, err)
	require.Equal(t, "s3cret", <-passwords, "the URL permits it")
}
