// Package postgres stores the log in one schema of a PostgreSQL database, for installations whose servers run on
// several machines.
//
//	address.go  the URL of a log
//	open.go     Open, and checks of every connection
//	migrate.go  creation and migration of the schema
//	log.go      Log: append, head, close
//	writer.go   the goroutine that appends in batches
//	read.go     reads in pages
//	row.go      events as rows, and their checksums
//	store.go    items beside the log
//	schema.go   statements; schema.sql and items.sql create the tables and functions
//	fault.go    converts PostgreSQL errors to errors of the log
//
// # Appends
//
// All appends of a process go to one writer (writer.go). The writer sends the waiting appends as one call of the
// function append (schema.sql): one round trip, one transaction, one fsync.
//
//	Append ─▶ queue ─▶ append(...) ─▶ lock ─▶ check ─▶ insert ─▶ commit ─▶ results
//	            ▲                     └──────── in the server ────────┘       │
//	            └── retry with the same ids after a delay ◀── answer lost ◀───┘
//
// PostgreSQL takes and releases the lock within that transaction. A drover server that stops or loses its connection
// during an append therefore blocks no other server. Positions are 1, 2, 3 and so on without gaps. Each is assigned
// under the lock, so positions are in the order of commits. The primary key rejects a position that is used twice. A
// reader that finds a gap returns ErrDamaged.
//
// # Requirements
//
// The package needs PostgreSQL 13 or newer with UTF-8 encoding. It connects to the primary only, because a replica can
// lag behind. Every new connection is checked: the server must accept writes and must have the log that was opened.
// fsync must be on; the package logs a warning if it is off. Each append turns synchronous_commit on, regardless of the
// setting of the session.
//
// The package uses no session state: no prepared statements, settings or notifications. Statements are sent unnamed,
// and the client caches their descriptions (cache_describe in pgx). A pooler in transaction mode, such as pgbouncer,
// can therefore be used.
//
// Data and causes are returned byte for byte, and a checksum verifies them. Triggers refuse to change or delete an
// event, even for the owner of the schema. After a connection breaks, the next call opens a new one.
//
// # Errors
//
// An append that the server refused is not in the log (ErrFull, ErrUnavailable). If an append was sent and the answer
// was lost, it may be in the log. The writer then sends it again with the same ids at the same expected revision, with
// growing delays. It stops when the result is known, when the caller stops waiting, or after Config.RetryTimeout. In
// the last two cases the caller receives ErrUnknownOutcome.
//
// Problems that an operator must fix (a password, a permission, a missing database) wrap none of the errors of package
// eventlog while a log is being opened. Later they wrap ErrUnavailable, because drover continues as soon as they are
// fixed. No error and no log line contains a password.
//
// # Schemas and permissions
//
// The URL parameter schema allows several logs in one database. A schema must not be renamed, because its functions
// refer to it by name. The first server creates the schema. It needs the permission CREATE on the database, or an empty
// schema that it owns. Afterwards the following permissions are sufficient. A user that has only these permissions
// cannot change stored events with any tool:
//
//	GRANT USAGE ON SCHEMA drover TO app;
//	GRANT SELECT ON ALL TABLES IN SCHEMA drover TO app;
//	GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA drover TO app;
//
// # Items
//
// Items are stored in tables of the same schema, which are not append-only. Writes of leases and output do not wait
// for the disk: a crash of the server may lose the last of them. Writes of durable collections do wait. Their table
// and functions (items.sql) were added later and do not change the format. They are added when a user with sufficient
// permissions opens the log, and receive the permissions that were granted on output. VACUUM removes dropped items
// from the files of the table.
package postgres
