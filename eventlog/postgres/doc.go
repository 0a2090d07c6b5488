// Package postgres keeps the log in one schema of a PostgreSQL database, for teams whose
// servers run on several machines.
//
// It decides how appends of many servers become one order. All appends of a process go to
// one writer (writer.go), which takes what is waiting and sends it as one call of the
// schema's function append (schema.sql): one round trip, one transaction, one fsync.
//
//	Append ─▶ queue ─▶ append(...) ─▶ lock ─▶ judge ─▶ insert ─▶ commit ─▶ answers
//	            ▲                     └──────── in the server ────────┘       │
//	            └── the same ids again, after a while ◀── the answer is lost ◀┘
//
// The lock is taken and given back within the server, so a drover that is stopped or cut
// off in the middle of an append holds nobody up. Positions are 1, 2, 3 and so on without
// a gap, each the last one plus 1, given out under the lock and therefore in the order of
// commits; a primary key stands behind the lock. A reader that finds a hole says so.
//
// It relies on the primary of the database: a replica that lags would show a past that a
// writer has left. Every connection is asked whether it takes writes and holds the log
// that was opened. It relies on fsync in the server (it warns where that is off), turns
// synchronous_commit on for each append whatever the session says, and needs PostgreSQL 13
// or newer, with texts in UTF-8. It relies on nothing of a session, neither prepared
// statements nor settings nor notifications: statements are sent unnamed, with their
// descriptions kept by the client (pgx calls it cache_describe), so a pooler in
// transaction mode, such as pgbouncer, may stand between.
//
// It promises the laws of package eventlog. Data and causes come back byte by byte; the
// checksum decides. The database itself refuses to change or delete an event, also to the
// owner of the schema. A connection that breaks is made anew by the next call.
//
// It fails like this. An append that the server refused is not in the log: ErrFull,
// ErrUnavailable. One that was sent and whose answer was lost may be there: the writer
// asks for it again with the same ids at the same expected revision, with growing delay,
// until it knows, or its caller leaves, or half a minute has passed; then ErrUnknownOutcome.
// What a person must mend (a password, a right, a missing database) is an error of its own
// when a log is opened, and ErrUnavailable later, because drover goes on when it is mended.
// No error and no log line holds a password.
//
// Several logs live in one database by the URL's parameter schema, which is not to be
// renamed: its functions name it. The first server makes the schema, for which it needs
// the right CREATE on the database, or an empty schema of its own. From then on a user
// with these rights is enough, who cannot change what is written with any tool:
//
//	GRANT USAGE ON SCHEMA drover TO app;
//	GRANT SELECT ON ALL TABLES IN SCHEMA drover TO app;
//	GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA drover TO app;
//
// What is stored beside the log lies in tables of the same schema, without the append-only
// rule. Leases and output do not wait for the disk: a crash of the server may lose the last of
// them. The durable collections do; their table and functions (items.sql) came later, do not
// raise the format, and are added when a log is opened by a user who may. They take over the
// rights that are granted on output. A dropped item leaves the table's files with VACUUM.
package postgres
