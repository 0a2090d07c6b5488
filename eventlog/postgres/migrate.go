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

// migration brings the schema of one log to the format that this program works with.
type migration struct {
	conn   *pgx.Conn
	schema string
	config Config
}

// state is what a schema was found to hold.
type state struct {
	schema bool // it exists
	filled bool // it holds a table, whosever
	log    bool // it holds the table that drover's logs have
	items  bool // it holds the table of the durable collections
	id     uuid.UUID
	format int // 0 without a log
}

// run returns the id of the log. Where several servers migrate at once, one does each
// step, and the others find it done.
func (m migration) run(ctx context.Context) (uuid.UUID, error) {
	found, err := m.look(ctx)
	if err == nil && found.format == 0 && m.config.Existing {
		return uuid.Nil, refuse(nil, "there is no log in the schema %q; name another with ?schema=NAME", m.schema)
	}
	for err == nil && found.format < len(m.config.formats) {
		before := found
		failure := m.step(ctx, before)
		if found, err = m.look(ctx); err == nil && found.format == before.format {
			return uuid.Nil, m.refused(failure, before)
		}
	}
	if err == nil && !found.items {
		failure := m.change(ctx, found, addItems)
		if found, err = m.look(ctx); err == nil && !found.items {
			return uuid.Nil, m.refused(failure, found)
		}
	}
	if err != nil {
		return uuid.Nil, err
	}
	if m.config.ID != uuid.Nil && m.config.ID != found.id {
		return uuid.Nil, refuse(eventlog.ErrForeign, "the log there has the id %s and not %s; name an empty schema with ?schema=NAME", found.id, m.config.ID)
	}
	return found.id, nil
}

// look reads what the schema holds, and refuses what is no log this program can use.
func (m migration) look(ctx context.Context) (found state, err error) {
	var encoding, fsync string
	err = m.conn.QueryRow(ctx, sqlState, m.schema).Scan(&found.schema, &found.filled, &found.log, &found.items, &encoding, &fsync)
	switch {
	case err != nil:
		return found, err
	case encoding != "UTF8":
		return found, refuse(eventlog.ErrForeign, "the database keeps its texts in %s; make one WITH ENCODING 'UTF8' TEMPLATE template0", encoding)
	case found.filled && !found.log:
		return found, refuse(eventlog.ErrForeign, "the schema %q holds tables of another program; name another with ?schema=NAME", m.schema)
	case !found.log:
		return found, nil
	}
	if fsync != "on" {
		m.config.Logger.Warn("database has fsync off: a power cut loses acknowledged events")
	}
	err = m.conn.QueryRow(ctx, inSchema(sqlInfo, m.schema)).Scan(&found.id, &found.format)
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		return found, refuse(eventlog.ErrDamaged, "the log has lost its id; restore a backup")
	case err != nil:
		return found, err
	case found.format > len(m.config.formats):
		return found, refuse(eventlog.ErrForeign, "the log has format %d and this drover knows formats up to %d; use a newer drover", found.format, len(m.config.formats))
	}
	return found, nil
}

// turnstile is the advisory lock under which schemas are made and migrated, "drover" in
// digits.
const turnstile = 0x64726F766572

// step leads from one format to the next.
func (m migration) step(ctx context.Context, from state) error {
	m.config.Logger.Info("log schema is brought to the next format", zap.String("schema", m.schema), zap.Int("format", from.format+1))
	statements := m.config.formats[from.format]
	if from.format == 0 {
		id := m.config.ID
		if id == uuid.Nil {
			id = uuid.New()
		}
		statements += fmt.Sprintf(`; INSERT INTO {schema}.info (log_id, format) VALUES ('%s', 1);`, id)
	} else {
		statements += fmt.Sprintf(`; UPDATE {schema}.info SET format = %d;`, from.format+1)
	}
	return m.change(ctx, from, statements)
}

// change runs statements in one transaction, which is sent as a whole: a server that is stopped in the middle holds no
// lock. Of several servers that make the same change one does, and the others get an error.
func (m migration) change(ctx context.Context, from state, statements string) error {
	first := fmt.Sprintf(`SET LOCAL lock_timeout = '10s'; SELECT pg_catalog.pg_advisory_xact_lock(%d);`, turnstile)
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

// refused adds to the error of a step what would let it through.
func (m migration) refused(err error, from state) error {
	if code(err) != codeForbidden {
		return err
	}
	words := fmt.Sprintf("the user may not make the schema %q; let an owner of the database open the log once, or GRANT CREATE ON DATABASE to the user", m.schema)
	switch {
	case from.format == len(m.config.formats):
		words = fmt.Sprintf("the user may not add a table to the schema %q; let its owner open the log once with this drover", m.schema)
	case from.format > 0:
		words = fmt.Sprintf("the user may not bring the schema %q to format %d; let its owner open the log once with this drover", m.schema, from.format+1)
	}
	return &refusal{fault{nil, words}, innermost(err)}
}
