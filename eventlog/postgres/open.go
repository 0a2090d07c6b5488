package postgres

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
	"go.uber.org/zap"

	"github.com/droverhq/drover/eventlog"
)

// Config configures a log. The zero value works.
type Config struct {
	// Logger receives a message when a write to the log fails and when writes succeed again. nil disables logging.
	Logger *zap.Logger
	// ID is the id of a new log. The zero id selects a random one. If ID is not zero, an existing log must have this
	// id.
	ID uuid.UUID
	// Existing requires that the log exists. It is for programs that only read and must not create a log.
	Existing bool
	// Insecure permits a server on another machine without verified TLS.
	Insecure bool
	// Timeout limits one round trip to the server. 0 selects 10 s.
	Timeout time.Duration
	// RetryTimeout limits how long an append with an unknown outcome is sent again while its caller waits. Then it
	// returns ErrUnknownOutcome. 0 selects 30 s.
	RetryTimeout time.Duration
	// formats replaces the formats of the schema in tests.
	formats []string
}

func (c Config) withDefaults() Config {
	if c.Logger == nil {
		c.Logger = zap.NewNop()
	}
	if c.Timeout <= 0 {
		c.Timeout = 10 * time.Second
	}
	if c.RetryTimeout <= 0 {
		c.RetryTimeout = 30 * time.Second
	}
	if c.formats == nil {
		c.formats = formats
	}
	return c
}

// Open opens the log in the database at url, for example postgres://user:password@host:5432/database?schema=drover.
// It creates and migrates the schema if that is necessary and the user has the permission.
//
// Open returns ErrUnavailable for a temporary problem. It returns ErrForeign if the server or the schema cannot be
// used: it is not a drover log, has a newer format, or has another id. Other errors are problems that the user must
// fix.
func Open(ctx context.Context, url string, config Config) (*Log, error) {
	at, err := parseAddress(url)
	if err != nil {
		return nil, fmt.Errorf("open log in PostgreSQL: %w", err)
	}
	exposed, err := checkExposure(at.config.ConnConfig, config.Insecure)
	if err != nil {
		return nil, fmt.Errorf("open log %s: %w", at.name, err)
	}
	harden(at.config.ConnConfig)
	log, err := open(ctx, at, config.withDefaults())
	if err != nil {
		return nil, fmt.Errorf("open log %s: %w", at.name, err)
	}
	log.exposed = exposed
	return log, nil
}

func open(ctx context.Context, at address, config Config) (*Log, error) {
	opening, cancel := context.WithTimeout(ctx, 3*config.Timeout)
	defer cancel()
	id, err := prepare(opening, at, config)
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	if err != nil {
		return nil, explainOpen(err)
	}
	l := &Log{name: at.name, id: id, config: config, queries: queriesOf(at.schema, len(config.formats))}
	l.base, l.end = context.WithCancel(context.Background())
	at.config.ConnConfig.ValidateConnect = func(ctx context.Context, conn *pgconn.PgConn) error {
		return errors.Join(checkPrimary(ctx, conn, 2), checkID(ctx, conn, at.schema, id))
	}
	if l.readers, err = pgxpool.NewWithConfig(ctx, at.config); err != nil {
		return nil, explainOpen(err)
	}
	if l.writer, err = startWriter(l, at.config); err != nil {
		l.readers.Close()
		return nil, explainOpen(err)
	}
	return l, nil
}

// prepare checks that the server accepts writes and that the schema has a log that this program can use. It creates
// the log in an empty schema.
func prepare(ctx context.Context, at address, config Config) (uuid.UUID, error) {
	c := at.config.ConnConfig.Copy()
	c.ValidateConnect = func(ctx context.Context,
		conn *pgconn.PgConn) error {
		return checkPrimary(ctx, conn, at.hosts)
	}
	conn, err := pgx.ConnectConfig(ctx, c)
	if err != nil {
		return uuid.Nil, err
	}
	defer func() { _ = conn.Close(ctx) }()
	m := migration{conn: conn, schema: at.schema, config: config}
	return m.run(ctx)
}

// checkPrimary returns an error if the server accepts no writes, so that the next of several hosts is tried. The error
// wraps ErrForeign if there is a single host, because the URL is wrong. It wraps ErrUnavailable if there are several
// hosts, because a failover may be in progress.
func checkPrimary(ctx context.Context, conn *pgconn.PgConn, hosts int) error {
	const query = `SELECT pg_catalog.pg_is_in_recovery(), pg_catalog.current_setting('transaction_read_only')`
	results, err := conn.Exec(ctx, query).ReadAll()
	if err != nil {
		return err
	}
	kind := eventlog.ErrUnavailable
	if hosts == 1 {
		kind = eventlog.ErrForeign
	}
	row := results[0].Rows[0]
	switch {
	case string(row[0]) == "t":
		return newFault(kind, "the server is a read-only replica; "+
			"use the primary, or name all hosts: postgres://HOST,HOST/DATABASE")
	case string(row[1]) == "on":
		return newFault(kind, "the server accepts no writes, because default_transaction_read_only is on; "+
			"turn it off for the user of drover")
	}
	return nil
}

// checkID returns an error if the server's log is not the log that was opened. The host name may now resolve to another
// server, or the database may have been restored.
func checkID(ctx context.Context, conn *pgconn.PgConn, schema string, id uuid.UUID) error {
	results, err := conn.Exec(ctx, inSchema(`SELECT log_id FROM {schema}.info`, schema)).ReadAll()
	if err != nil {
		return err
	}
	if rows := results[0].Rows; len(rows) != 1 || string(rows[0][0]) != id.String() {
		return newFault(eventlog.ErrForeign, "%s", faults[codeOtherLog].text)
	}
	return nil
}
