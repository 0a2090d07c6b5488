package sqlite

// These values identify a file as a drover log and give its format. A change that older versions cannot read needs a
// new format. The table items, which was added later, does not.
const (
	applicationID = 0x64726F76 // "drov"
	format        = 1
)

// schema creates an empty log. The texts are readable in any SQLite tool: time is RFC 3339, causes is a JSON array of
// ids, and a missing command is an empty text.
const schema = `
CREATE TABLE info (
	one    INTEGER PRIMARY KEY CHECK (one = 1),
	log_id TEXT NOT NULL
) STRICT;
CREATE TABLE events (
	position INTEGER PRIMARY KEY,
	stream   TEXT    NOT NULL,
	revision INTEGER NOT NULL CHECK (revision >= 0),
	id       TEXT    NOT NULL,
	type     TEXT    NOT NULL,
	time     TEXT    NOT NULL,
	command  TEXT    NOT NULL,
	causes   TEXT    NOT NULL,
	data     TEXT    NOT NULL,
	checksum TEXT    NOT NULL,
	UNIQUE (stream, revision)
) STRICT;
CREATE TRIGGER events_are_never_changed BEFORE UPDATE ON events
	BEGIN SELECT RAISE(ABORT, 'the log is append-only: events are never changed'); END;
CREATE TRIGGER events_are_never_deleted BEFORE DELETE ON events
	BEGIN SELECT RAISE(ABORT, 'the log is append-only: events are never deleted'); END;
CREATE TRIGGER events_are_never_replaced BEFORE INSERT ON events
	WHEN NEW.position <= (SELECT coalesce(max(position), 0) FROM events)
	BEGIN SELECT RAISE(ABORT, 'the log is append-only: events are never replaced'); END;
`

// itemsSchema creates the table of the durable collections. Logs of earlier versions receive it when they are opened.
const itemsSchema = `
CREATE TABLE IF NOT EXISTS items (
	collection TEXT    NOT NULL,
	key        TEXT    NOT NULL,
	sequence   INTEGER NOT NULL CHECK (sequence > 0),
	time       TEXT    NOT NULL,
	data       BLOB    NOT NULL,
	PRIMARY KEY (collection, key)
) STRICT, WITHOUT ROWID`

// ephemeraSchema creates the tables of the file beside the log, if they are missing.
const ephemeraSchema = `
CREATE TABLE IF NOT EXISTS leases (
	server TEXT PRIMARY KEY,
	value  BLOB NOT NULL
) STRICT;
CREATE TABLE IF NOT EXISTS output (
	deployment TEXT    NOT NULL,
	machine    TEXT    NOT NULL,
	sequence   INTEGER NOT NULL,
	time       TEXT    NOT NULL,
	data       BLOB    NOT NULL,
	PRIMARY KEY (deployment, machine, sequence)
) STRICT;
CREATE INDEX IF NOT EXISTS output_by_time ON output (time);
`

const (
	sqlFormat = `PRAGMA user_version`
	sqlHead   = `SELECT coalesce(max(position), 0) FROM events`
	sqlLast   = `SELECT coalesce(max(revision), -1) FROM events WHERE stream = ?`
	sqlIDs    = `SELECT id, position FROM events WHERE stream = ? AND revision > ? ORDER BY revision LIMIT ?`
	sqlInsert = `INSERT INTO events (position, stream, revision, id, type, time, command, causes, data, checksum)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`

	// columns joins the texts of a row into one, because SQLite needs more time to return a column than to join two.
	// Only the last text can contain the separator. The result is a blob, so that data can be a part of it without a
	// copy.
	columns   = `position, revision, CAST(concat_ws(char(31), stream, id, type, time, command, causes, checksum, data) AS BLOB)`
	sqlAll    = `SELECT ` + columns + ` FROM events WHERE position > ? AND position <= ? ORDER BY position LIMIT ?`
	sqlStream = `SELECT ` + columns + ` FROM events WHERE stream = ? AND revision >= ? AND position <= ? ORDER BY revision LIMIT ?`

	sqlItems    = `SELECT key, sequence, time, data FROM items WHERE collection = ?`
	sqlItem     = sqlItems + ` AND key = ?`
	sqlPutItem  = `INSERT OR REPLACE INTO items (collection, key, sequence, time, data) VALUES (?, ?, ?, ?, ?)`
	sqlDropItem = `DELETE FROM items WHERE collection = ? AND key = ?`

	sqlPutLease  = `INSERT INTO leases (server, value) VALUES (?, ?) ON CONFLICT (server) DO UPDATE SET value = excluded.value`
	sqlLeases    = `SELECT server, value FROM leases`
	sqlDropLease = `DELETE FROM leases WHERE server = ?`
	sqlPutChunk  = `INSERT INTO output (deployment, machine, sequence, time, data) VALUES (?, ?, ?, ?, ?) ON CONFLICT DO NOTHING`
	sqlChunks    = `SELECT sequence, time, data FROM output WHERE deployment = ? AND machine = ? AND sequence > ? ORDER BY sequence LIMIT ?`
	sqlPrune     = `DELETE FROM output WHERE time < ?`
)
