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

// SQLSTATEs that mean something of their own here. Those with DV are raised by drover's
// own functions.
const (
	codeOtherLog    = "DV001"
	codeIsolation   = "DV002"
	codeAppendOnly  = "DV003"
	codeReadOnly    = "25006"
	codePassword    = "28P01"
	codeLogin       = "28000"
	codeNoDatabase  = "3D000"
	codeNoSchema    = "3F000"
	codeNoTable     = "42P01"
	codeNoColumn    = "42703"
	codeNoFunction  = "42883"
	codeForbidden   = "42501"
	codeNoParameter = "42704"
	codeFull        = "53100"
	codeConnections = "53300"
	codeLocked      = "55P03"
	codeCancelled   = "57014"
	codeShutdown    = "57P01"
	codeCrash       = "57P02"
	codeStarting    = "57P03"
	codeRotten      = "XX001"
	codeRottenIndex = "XX002"
)

// fault is what an error of PostgreSQL means for a log.
type fault struct {
	// kind is what callers can compare; nil says that a person must act first.
	kind error
	// words say what is wrong and what to do.
	words string
}

// refusal is a fault that drover found itself.
type refusal struct {
	fault
	cause error // may be nil
}

func (r *refusal) Error() string {
	text := r.words
	if r.kind != nil {
		text = r.kind.Error() + ": " + text
	}
	if r.cause != nil {
		text += ": " + r.cause.Error()
	}
	return text
}

func (r *refusal) Unwrap() []error {
	var all []error
	for _, err := range []error{r.kind, r.cause} {
		if err != nil {
			all = append(all, err)
		}
	}
	return all
}

func refuse(kind error, words string, arguments ...any) error {
	return &refusal{fault: fault{kind: kind, words: fmt.Sprintf(words, arguments...)}}
}

// faults are the errors of PostgreSQL with a sentence of their own.
var faults = map[string]fault{
	codeOtherLog:    {eventlog.ErrForeign, "another log stands where this one stood; restart drover if that is meant"},
	codeIsolation:   {nil, "drover needs the isolation level read committed; set default_transaction_isolation for its user"},
	codeReadOnly:    {eventlog.ErrUnavailable, "the server takes no writes now (a read-only replica, or default_transaction_read_only is on); name the primary"},
	codePassword:    {nil, "the user or the password is refused; check both in the URL"},
	codeLogin:       {nil, "the user is not let in; check the user in the URL and pg_hba.conf on the server"},
	codeNoDatabase:  {nil, "the database does not exist; make it with CREATE DATABASE"},
	codeNoSchema:    {eventlog.ErrForeign, "its schema is gone; restore a backup"},
	codeNoTable:     {eventlog.ErrForeign, "a table of its schema is missing; restore a backup"},
	codeNoColumn:    {eventlog.ErrForeign, "its schema is not drover's; name another with ?schema=NAME"},
	codeNoFunction:  {eventlog.ErrForeign, "a function of its schema is missing; restore a backup"},
	codeForbidden:   {nil, "the user lacks a right; grant it USAGE on the schema, SELECT on its tables and EXECUTE on its functions"},
	codeNoParameter: {nil, "a parameter in the URL is none that PostgreSQL knows; check how it is spelt"},
	codeFull:        {eventlog.ErrFull, "make room on the disk of the database server"},
	codeConnections: {eventlog.ErrUnavailable, "the server has no connection left; raise its max_connections, or set pool_max_conns in the URL"},
	codeLocked:      {eventlog.ErrUnavailable, "another session held the log's lock for 5 s"},
	codeCancelled:   {eventlog.ErrUnavailable, "the server broke it off (a statement_timeout, or an administrator)"},
	codeShutdown:    {eventlog.ErrUnavailable, "the server is shutting down"},
	codeCrash:       {eventlog.ErrUnavailable, "the server ended all connections after one of its processes crashed"},
	codeStarting:    {eventlog.ErrUnavailable, "the server is starting up or shutting down"},
	codeRotten:      {eventlog.ErrDamaged, "the database itself is broken, restore a backup"},
	codeRottenIndex: {eventlog.ErrDamaged, "an index of the database is broken; REINDEX the schema"},
}

// code returns the SQLSTATE in err, empty if there is none.
func code(err error) string {
	if found := (*pgconn.PgError)(nil); errors.As(err, &found) {
		return found.Code
	}
	return ""
}

// understand returns what err means, in one line, with the words of PostgreSQL at its end.
func understand(err error) *refusal {
	if found := (*refusal)(nil); errors.As(err, &found) {
		return found
	}
	cause := innermost(err)
	if found, ok := faults[code(err)]; ok {
		return &refusal{found, cause}
	}
	answer, untrusted := (*pgconn.PgError)(nil), (*tls.CertificateVerificationError)(nil)
	switch {
	case errors.As(err, &answer):
		return &refusal{fault{eventlog.ErrUnavailable, "PostgreSQL refuses"}, cause}
	case errors.As(err, &untrusted):
		return &refusal{fault{nil, "the server's certificate is not trusted; name its authority with sslrootcert=FILE in the URL"}, cause}
	case strings.Contains(err.Error(), "server refused TLS connection"):
		return &refusal{fault{nil, "the server speaks no TLS; set sslmode=disable in the URL if that is meant"}, nil}
	case pgconn.Timeout(err) || errors.Is(err, context.DeadlineExceeded):
		return &refusal{fault{eventlog.ErrUnavailable, "the server does not answer in time"}, nil}
	}
	return &refusal{fault{eventlog.ErrUnavailable, "no answer from PostgreSQL"}, cause}
}

// explainOpen turns an error of a log that is being opened into one that its callers know.
func explainOpen(err error) error {
	if err == nil || known(err) {
		return err
	}
	return understand(err)
}

// explain is explainOpen for a log that was opened. What a person must mend in the server
// is ErrUnavailable here: drover goes on when it is mended.
func explain(err error) error {
	if err == nil || known(err) {
		return err
	}
	found := understand(err)
	if found.kind == nil {
		return &refusal{fault{eventlog.ErrUnavailable, found.words}, found.cause}
	}
	return found
}

// known says that err was explained already.
func known(err error) bool {
	if found := (*refusal)(nil); errors.As(err, &found) {
		return false // it may lie deep in words of the library
	}
	return errors.Is(err, eventlog.ErrDamaged) || errors.Is(err, eventlog.ErrForeign) || errors.Is(err, eventlog.ErrUnavailable)
}

// innermost takes the library's words, which may fill several lines, off the error of the
// server or of the network that is within them.
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

// flat is an error in one line.
type flat struct{ error }

func (f *flat) Error() string { return strings.Join(strings.Fields(f.error.Error()), " ") }

func (f *flat) Unwrap() error { return f.error }

// unsent is the error of an append for which there was no connection.
type unsent struct{ error }

func (u *unsent) Unwrap() error { return u.error }

// sent says that an append which ended with err may be in the log: it went to the server,
// and the server did not answer that it refused it. A server that ends the connection
// (FATAL) may have committed before.
func sent(err error) bool {
	if none := (*unsent)(nil); errors.As(err, &none) || pgconn.SafeToRetry(err) {
		return false
	}
	if answer := (*pgconn.PgError)(nil); errors.As(err, &answer) {
		return answer.SeverityUnlocalized != "ERROR" || strings.HasPrefix(answer.Code, "08") || answer.Code == "40003"
	}
	return true
}
