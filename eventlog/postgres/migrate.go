package postgres

import (
	"context"
	"errors"
	"fmt"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"go.uber.org/zap"

	"github.com/droverhq/drover/eventlog"
)

// migration migrates the schema of one log to the format of this program.
type migration struct {
	conn   *pgx.Conn
	schema string
	config Config
}

// state is the current content of a schema.
type state struct {
	schema bool // the schema exists
	filled bool // it has a table, possibly of another program
	log    bool // it has the table info of a drover log
	items  bool // it has the table of the durable collections
	id     uuid.UUID
	format int // 0 without a log
}

// run migrates the schema and returns the id of the log. If several servers migrate concurrently, one of them makes
// each step and the others find it done.
func (m migration) run(ctx context.Context) (uuid.UUID, error) {
	found, err := m.inspect(ctx)
	if err == nil && found.format == 0 && m.config.Existing {
		return uuid.Nil, newFault(nil, "there is no log in the schema %q; select another with ?schema=NAME",
			m.schema)
	}
	for err == nil && found.format < len(m.config.formats) {
		before := found
		failure := m.step(ctx, before)
		if found, err = m.inspect(ctx); err == nil && found.format == before.format {
			return uuid.Nil, m.explain(failure, before)
		}
	}
	if err == nil && !found.items {
		failure := m.change(ctx, found, addItems)
		if found, err = m.inspect(ctx); err == nil && !found.items {
			return uuid.Nil, m.explain(failure, found)
		}
	}
	if err != nil {
		return uuid.Nil, err
	}
	if m.config.ID != uuid.Nil && m.config.ID != found.id {
		return uuid.Nil, newFault(eventlog.ErrForeign,
			"the existing log has the id %s, not %s; select an empty schema with ?schema=NAME",
			found.id, m.config.ID)
	}
	return found.id, nil
}

// inspect reads the state of the schema. It returns an error if the schema is used by something else than a supported
// drover log.
func (m migration) inspect(ctx context.Context) (found state, err error) {
	var encoding, fsync string
	err = m.conn.QueryRow(ctx, sqlState, m.schema).Scan(&found.schema, &found.filled, &found.log, &found.items,
		&encoding, &fsync)
	switch {
	case err != nil:
		return found, err
	case encoding != "UTF8":
		return found, newFault(eventlog.ErrForeign,
			"the database encoding is %s; create a database WITH ENCODING 'UTF8' TEMPLATE template0",
			encoding)
	case found.filled && !found.log:
		return found, newFault(eventlog.ErrForeign,
			"the schema %q has tables of another program; select another with ?schema=NAME",
			m.schema)
	case !found.log:
		return found, nil
	}
	if fsync != "on" {
		m.config.Logger.Warn("database has fsync off: a power cut loses acknowledged events")
	}
	err = m.conn.QueryRow(ctx, inSchema(sqlInfo, m.schema)).Scan(&found.id, &found.format)
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		return found, newFault(eventlog.ErrDamaged, "the log has no id; restore a backup")
	case err != nil:
		return found, err
	case found.format > len(m.config.formats):
		return found, newFault(eventlog.ErrForeign,
			"unsupported log format %d (this drover supports formats up to %d); use a newer drover",
			found.format, len(m.config.formats))
	}
	return found, nil
}

// migrationLock is the advisory lock for creating and migrating schemas: "drover" in hexadecimal.
const migrationLock = 0x64726F766572

// step migrates from one format to the next.
func (m migration) step(ctx context.Context, from state) error {
	m.config.Logger.Info("migrating the schema of the log", zap.String("schema", m.schema),
		zap.Int("format", from.format+1))
	statements := m.config.formats[from.format]
	if from.format == 0 {
		id := m.config.ID
		if id == uuid.Nil {
			id = uuid.New()
		}
		statements += fmt.Sprintf(`; INSERT INTO {schema}.info (log_id, format) VALUES ('%s', 1);`, id)
	} else {
		// The lock waits for the appends and reads of older servers that have checked the format, and lets no other one
		// check it before the commit.
		statements = fmt.Sprintf(`LOCK TABLE {schema}.info IN ACCESS EXCLUSIVE MODE; %s; UPDATE {schema}.info SET format = %d;`,
			statements, from.format+1)
	}
	return m.change(ctx, from, statements)
}

// change runs statements in one transaction. It sends the transaction as a whole, so that a server that is stopped
// meanwhile holds no lock. If several servers make the same change concurrently, one succeeds and the others return
// an error.
func (m migration) change(ctx context.Context, from state, statements string) error {
	first := fmt.Sprintf(`SET LOCAL lock_timeout = '10s'; SELECT pg_catalog.pg_advisory_xact_lock(%d);`, migrationLock)
	if !from.schema {
		first += `CREATE SCHEMA IF NOT EXISTS {schema};`
	}
	if from.format > 0 {
		first += fmt.Sprintf(`DO $$ BEGIN
			IF (SELECT format FROM {schema}.info) <> %d THEN RAISE EXCEPTION 'another server was first'; END IF;
		END $$;`, from.format)
	}
	_, err := m.conn.PgConn().Exec(ctx, inSchema(first+statements, m.schema)).ReadAll()
	return err
}

// explain adds the necessary permission to the error of a step.
func (m migration) explain(err error, from state) error {
	if code(err) != codeForbidden {
		return err
	}
	text := fmt.Sprintf("the user cannot create the schema %q; open the log once as an owner of the database, "+
		"or GRANT CREATE ON DATABASE to the user", m.schema)
	switch {
	case from.format == len(m.config.formats):
		text = fmt.Sprintf("the user cannot add a table to the schema %q; "+
			"open the log once as its owner with this drover", m.schema)
	case from.format > 0:
		text = fmt.Sprintf("the user cannot migrate the schema %q to format %d; "+
			"open the log once as its owner with this drover", m.schema, from.format+1)
	}
	return &faultError{fault{nil, text}, innermost(err)}
}
