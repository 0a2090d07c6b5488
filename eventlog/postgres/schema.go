package postgres

import (
	_ "embed"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5"
)

//go:embed schema.sql
var formatOne string

// formats are the statements that migrate the schema from each format to the next; the first creates it. A change
// that older versions cannot use adds a format. From then on, servers of older versions neither read nor append.
var formats = []string{formatOne}

// addItems are the statements that add the durable collections to a schema without them. They do not change the
// format, because older servers continue to use the schema during a rolling upgrade.
//
//go:embed items.sql
var addItems string

// The queries of a log. {schema} is replaced with the name of its schema, and {format} with the newest format that this
// program supports. A read or an append has no row if a newer drover has migrated the schema, because PostgreSQL checks
// the condition before anything else.
const (
	sqlSupported = ` WHERE EXISTS (SELECT FROM {schema}.info WHERE format <= {format})`

	sqlState = `SELECT EXISTS (SELECT FROM pg_catalog.pg_namespace WHERE nspname = $1),
		EXISTS (SELECT FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = $1),
		EXISTS (SELECT FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = $1 AND c.relname = 'info'),
		EXISTS (SELECT FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = $1 AND c.relname = 'items'),
		current_setting('server_encoding'), current_setting('fsync')`
	sqlInfo = `SELECT log_id, format FROM {schema}.info`

	sqlAppend = `SELECT lasts, places, found_owners, found_ids, found_places FROM {schema}.append($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)` + sqlSupported
	sqlHead   = `SELECT coalesce(max(position), 0) FROM {schema}.events`

	// A page is a range of positions or revisions, which have no gaps, and not a LIMIT. Until PostgreSQL has analyzed a
	// new table, it would sort the whole rest of the table for each page. Every row contains the head of the log and the
	// last place of the read; if there is no event, the result has one row without an event.
	columns = `h.head, h.last, e.position, e.stream, e.revision, e.id, e.type, e.time, e.command, e.causes, e.data, e.checksum`
	sqlAll  = `SELECT ` + columns + ` FROM (SELECT coalesce(max(position), 0) AS head, coalesce(max(position), 0) AS last FROM {schema}.events) h
		LEFT JOIN {schema}.events e ON e.position BETWEEN $1 AND $2 AND e.position <= $3` + sqlSupported + ` ORDER BY e.position`
	sqlStream = `SELECT ` + columns + ` FROM (SELECT (SELECT coalesce(max(position), 0) FROM {schema}.events) AS head,
			(SELECT coalesce(max(revision), -1) FROM {schema}.events WHERE stream = $4 AND position <= $3) AS last) h
		LEFT JOIN {schema}.events e ON e.stream = $4 AND e.revision BETWEEN $1 AND $2 AND e.position <= $3` + sqlSupported + ` ORDER BY e.revision`

	sqlPutLease  = `SELECT {schema}.put_lease($1, $2)`
	sqlLeases    = `SELECT server, value FROM {schema}.leases`
	sqlDropLease = `SELECT {schema}.drop_lease($1)`
	sqlPutChunk  = `SELECT {schema}.put_output($1, $2, $3, $4, $5)`
	sqlChunks    = `SELECT sequence, time, data FROM {schema}.output
		WHERE deployment = $1 AND machine = $2 AND sequence > $3 ORDER BY sequence LIMIT $4`
	sqlPrune = `SELECT {schema}.prune_output($1)`

	sqlPutItem  = `SELECT stored, there_sequence, there_time, there_data FROM {schema}.put_item($1, $2, $3, $4, $5, $6, $7)`
	sqlDropItem = `SELECT {schema}.drop_item($1, $2, $3)`
	sqlItems    = `SELECT key, sequence, time, data FROM {schema}.items WHERE collection = $1`
)

// queries holds the statements of one log.
type queries struct {
	append, head, all, stream                            string
	putLease, leases, dropLease, putChunk, chunks, prune string
	putItem, dropItem, items                             string
}

func queriesOf(schema string, format int) queries {
	in := func(query string) string {
		return inSchema(strings.ReplaceAll(query, "{format}", strconv.Itoa(format)), schema)
	}
	return queries{
		append: in(sqlAppend), head: in(sqlHead), all: in(sqlAll), stream: in(sqlStream),
		putLease: in(sqlPutLease), leases: in(sqlLeases), dropLease: in(sqlDropLease),
		putChunk: in(sqlPutChunk), chunks: in(sqlChunks), prune: in(sqlPrune),
		putItem: in(sqlPutItem), dropItem: in(sqlDropItem), items: in(sqlItems),
	}
}

// inSchema replaces {schema} with the quoted name of schema. It avoids the search path, which is session state.
func inSchema(statements, schema string) string {
	return strings.ReplaceAll(statements, "{schema}", pgx.Identifier{schema}.Sanitize())
}
