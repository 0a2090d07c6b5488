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

// Config says how a log is kept; the zero value works.
type Config struct {
	// Logger hears when the log stops and begins to write again; nil is silence.
	Logger *zap.Logger
	// ID is the id of a log that is made now; zero is a random one. A log that is there
	// already must have this id, unless it is zero.
	ID uuid.UUID
	// Existing says that a log must be there already; looking at one must not make one.
	Existing bool
	// Timeout bounds one round trip to the server; 0 is 10 s.
	Timeout time.Duration
	// Patience is how long an append of unknown outcome is asked for again before its
	// caller is told, as long as the caller waits; 0 is 30 s.
	Patience time.Duration
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
	if c.Patience <= 0 {
		c.Patience = 30 * time.Second
	}
	if c.formats == nil {
		c.formats = formats
	}
	return c
}

// Open opens the log in the database that url names, such as
// postgres://user:password@host:5432/database?schema=drover, and makes and migrates its
// schema where that is needed and the user may. It returns ErrUnavailable for what time
// can heal, ErrForeign for a server or a schema that is no drover log, is one of a newer
// format or of another id, and other errors for what the user of the URL must mend.
func Open(ctx context.Context, url string, config Config) (*Log, error) {
	at, err := parseAddress(url)
	if err != nil {
		return nil, fmt.Errorf("open log in PostgreSQL: %w", err)
	}
	log, err := open(ctx, at, config.withDefaults())
	if err != nil {
		return nil, fmt.Errorf("open log %s: %w", at.name, err)
	}
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
	l := &Log{name: at.name, id: id, config: config, queries: queriesOf(at.schema)}
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

// prepare makes sure that the server can be written and that the schema holds a log that
// this program can use, and makes it one if it is empty.
func prepare(ctx context.Context, at address, config Config) (uuid.UUID, error) {
	c := at.config.ConnConfig.Copy()
	c.ValidateConnect = func(ctx context.Context, conn *pgconn.PgConn) error { return checkPrimary(ctx, conn, at.hosts) }
	conn, err := pgx.ConnectConfig(ctx, c)
	if err != nil {
		return uuid.Nil, err
	}
	defer func() { _ = conn.Close(ctx) }()
	m := migration{conn: conn, schema: at.schema, config: config}
	return m.run(ctx)
}

// checkPrimary refuses a server that takes no writes, so that the next of several hosts
// is tried. With one host alone that is a slip; of several, the primary may be on its way.
func checkPrimary(ctx context.Context, conn *pgconn.PgConn, hosts int) error {
	results, err := conn.Exec(ctx, `SELECT pg_catalog.pg_is_in_recovery(), pg_catalog.current_setting('transaction_read_only')`).ReadAll()
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
		return refuse(kind, "the server is a read-only replica; name the primary, or all of them: postgres://HOST,HOST/DATABASE")
	case string(row[1]) == "on":
		return refuse(kind, "the server takes no writes, default_transaction_read_only is on; turn it off for drover's user")
	}
	return nil
}

// checkID refuses a server that holds another log than the one that was opened: a URL
// that leads elsewhere today, or a database that was restored beneath its servers.
func checkID(ctx context.Context, conn *pgconn.PgConn, schema string, id uuid.UUID) error {
	results, err := conn.Exec(ctx, inSchema(`SELECT log_id FROM {schema}.info`, schema)).ReadAll()
	if err != nil {
		return err
	}
	if rows := results[0].Rows; len(rows) != 1 || string(rows[0][0]) != id.String() {
		return refuse(eventlog.ErrForeign, "%s", faults[codeOtherLog].words)
	}
	return nil
}
