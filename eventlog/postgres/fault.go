package postgres

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/droverhq/drover/eventlog"
)

// SQLSTATE codes with a special meaning. Codes that begin with DV are raised by the functions of drover.
const (
	codeOtherLog     = "DV001"
	codeIsolation    = "DV002"
	codeAppendOnly   = "DV003"
	codeReadOnly     = "25006"
	codePassword     = "28P01"
	codeLogin        = "28000"
	codeNoDatabase   = "3D000"
	codeNoSchema     = "3F000"
	codeNoTable      = "42P01"
	codeNoColumn     = "42703"
	codeNoFunction   = "42883"
	codeForbidden    = "42501"
	codeNoParameter  = "42704"
	codeFull         = "53100"
	codeConnections  = "53300"
	codeLocked       = "55P03"
	codeCancelled    = "57014"
	codeShutdown     = "57P01"
	codeCrash        = "57P02"
	codeStarting     = "57P03"
	codeDamaged      = "XX001"
	codeDamagedIndex = "XX002"
)

// fault is the meaning of a PostgreSQL error for a log.
type fault struct {
	// kind is an error of package eventlog. It is nil if an operator must fix the problem.
	kind error
	// text describes the problem and the solution.
	text string
}

// faultError is a fault as an error.
type faultError struct {
	fault
	cause error // can be nil
}

func (r *faultError) Error() string {
	text := r.text
	if r.kind != nil {
		text = r.kind.Error() + ": " + text
	}
	if r.cause != nil {
		text += ": " + r.cause.Error()
	}
	return text
}

func (r *faultError) Unwrap() []error {
	var all []error
	for _, err := range []error{r.kind, r.cause} {
		if err != nil {
			all = append(all, err)
		}
	}
	return all
}

func newFault(kind error, text string, arguments ...any) error {
	return &faultError{fault: fault{kind: kind, text: fmt.Sprintf(text, arguments...)}}
}

// faults maps SQLSTATE codes to faults.
var faults = map[string]fault{
	codeOtherLog:  {eventlog.ErrForeign, "the database now has another log; restart drover if this is intended"},
	codeIsolation: {nil, "drover needs isolation level read committed; set default_transaction_isolation for its user"},
	codeReadOnly: {eventlog.ErrUnavailable,
		"the server accepts no writes (a read-only replica, or default_transaction_read_only is on); use the primary"},
	codePassword:   {nil, "the server rejected the user or the password; check both in the URL"},
	codeLogin:      {nil, "the server rejected the user; check the user in the URL and pg_hba.conf on the server"},
	codeNoDatabase: {nil, "the database does not exist; create it with CREATE DATABASE"},
	codeNoSchema:   {eventlog.ErrForeign, "the schema is missing; restore a backup"},
	codeNoTable:    {eventlog.ErrForeign, "a table of the schema is missing; restore a backup"},
	codeNoColumn:   {eventlog.ErrForeign, "the schema belongs to another program; select another with ?schema=NAME"},
	codeNoFunction: {eventlog.ErrForeign, "a function of the schema is missing; restore a backup"},
	codeForbidden: {nil, "the user lacks a permission; " +
		"grant it USAGE on the schema, SELECT on its tables and EXECUTE on its functions"},
	codeNoParameter: {nil, "unknown parameter in the URL; check its spelling"},
	codeFull:        {eventlog.ErrFull, "free space on the disk of the database server"},
	codeConnections: {eventlog.ErrUnavailable,
		"the server has too many connections; increase its max_connections, or set pool_max_conns in the URL"},
	codeLocked: {eventlog.ErrUnavailable, "another session held the lock of the log for 5 s"},
	codeCancelled: {eventlog.ErrUnavailable,
		"the server cancelled the statement (a statement_timeout, or an administrator)"},
	codeShutdown:     {eventlog.ErrUnavailable, "the server is shutting down"},
	codeCrash:        {eventlog.ErrUnavailable, "the server ended all connections after one of its processes crashed"},
	codeStarting:     {eventlog.ErrUnavailable, "the server is starting up or shutting down"},
	codeDamaged:      {eventlog.ErrDamaged, "the database is damaged; restore a backup"},
	codeDamagedIndex: {eventlog.ErrDamaged, "an index of the database is damaged; run REINDEX SCHEMA"},
}

// errMigrated means that a newer drover has migrated the schema while the log is open.
var errMigrated = newFault(eventlog.ErrForeign,
	"a newer drover has migrated the log to a format that this server does not support; upgrade this server")

// code returns the SQLSTATE in err, or an empty string if it has no SQLSTATE.
func code(err error) string {
	if found := (*pgconn.PgError)(nil); errors.As(err, &found) {
		return found.Code
	}
	return ""
}

// classify returns the meaning of err on one line, followed by the message from PostgreSQL.
func classify(err error) *faultError {
	if found := (*faultError)(nil); errors.As(err, &found) {
		return found
	}
	cause := innermost(err)
	if found, ok := faults[code(err)]; ok {
		return &faultError{found, cause}
	}
	answer, untrusted := (*pgconn.PgError)(nil), (*tls.CertificateVerificationError)(nil)
	switch {
	case errors.As(err, &answer):
		return &faultError{fault{eventlog.ErrUnavailable, "PostgreSQL returned an error"}, cause}
	case errors.As(err, &untrusted):
		return &faultError{fault{nil, "the certificate of the server is not trusted; " +
			"set sslrootcert=FILE in the URL to its authority"}, cause}
	case strings.Contains(err.Error(), "require_auth check failed"):
		return &faultError{fault{nil, "the server did not authenticate with SCRAM-SHA-256, so it may be another program on its " +
			"port; use TLS with sslmode=verify-full, set password_encryption on the server, or choose another method with " +
			"require_auth=METHOD in the URL"}, cause}
	case strings.Contains(err.Error(), "server refused TLS connection"):
		return &faultError{fault{nil, "the server does not support TLS; " +
			"set sslmode=disable in the URL if this is intended"}, nil}
	case pgconn.Timeout(err) || errors.Is(err, context.DeadlineExceeded):
		return &faultError{fault{eventlog.ErrUnavailable, "the server did not answer in time"}, nil}
	}
	return &faultError{fault{eventlog.ErrUnavailable, "no answer from PostgreSQL"}, cause}
}

// explainOpen converts an error during Open into an error for callers.
func explainOpen(err error) error {
	if err == nil || isExplained(err) {
		return err
	}
	return classify(err)
}

// explain works like explainOpen for a log that is open. A problem that an operator must fix becomes ErrUnavailable,
// because drover continues when it is fixed.
func explain(err error) error {
	if err == nil || isExplained(err) {
		return err
	}
	found := classify(err)
	if found.kind == nil {
		return &faultError{fault{eventlog.ErrUnavailable, found.text}, found.cause}
	}
	return found
}

// isExplained reports whether err has already been converted.
func isExplained(err error) bool {
	if found := (*faultError)(nil); errors.As(err, &found) {
		return false // the library may have wrapped it
	}
	return errors.Is(err, eventlog.ErrDamaged) || errors.Is(err, eventlog.ErrForeign) || errors.Is(err,
		eventlog.ErrUnavailable)
}

// innermost returns the error from the server or the network that is wrapped in err. The message of the library itself
// may have several lines.
func innermost(err error) error {
	if found := (*pgconn.PgError)(nil); errors.As(err, &found) {
		return found
	}
	if found := (*net.OpError)(nil); errors.As(err, &found) {
		return found
	}
	if found := (*net.DNSError)(nil); errors.As(err, &found) {
		return found
	}
	if failed := (*pgconn.ConnectError)(nil); errors.As(err, &failed) {
		return &flat{failed.Unwrap()}
	}
	return &flat{err}
}

// flat is an error with its message on one line.
type flat struct{ error }

func (f *flat) Error() string { return strings.Join(strings.Fields(f.error.Error()), " ") }

func (f *flat) Unwrap() error { return f.error }

// notSent is the error of an append or a change that was not made, for example because there was no connection.
type notSent struct{ error }

func (u *notSent) Unwrap() error { return u.error }

// mayBeStored reports whether an append that ended with err may be in the log. This is the case if the append was sent
// and the server did not report that it refused the append. A server that closes the connection (FATAL) may already
// have committed.
func mayBeStored(err error) bool {
	if failed := (*notSent)(nil); errors.As(err, &failed) || pgconn.SafeToRetry(err) {
		return false
	}
	if answer := (*pgconn.PgError)(nil); errors.As(err, &answer) {
		return answer.SeverityUnlocalized != "ERROR" || strings.HasPrefix(answer.Code, "08") || answer.Code == "40003"
	}
	return true
}
