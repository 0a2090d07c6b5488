// Package sqlite stores the log in one SQLite file. It is the default backend of drover and serves any number of
// servers on one host.
//
//	open.go      Open: create and check the file
//	log.go       Log: append, head, close
//	writer.go    the goroutine that writes in batches
//	conn.go      the connection of the writer
//	read.go      reads in pages
//	reader.go    the pool of read connections
//	row.go       events as rows, and their checksums
//	store.go     items beside the log
//	ephemera.go  the second file, for leases and output
//	place.go     detects that a file of the log was deleted, moved or replaced
//	copy.go      a copy of a log that is in use
//	schema.go    tables and statements
//	fault.go     converts SQLite errors to errors of the log
//
// # Appends
//
// All appends of a process go to one writer (writer.go). The writer takes the waiting appends, checks each one
// separately, and makes the whole batch durable with one commit. It never waits for a batch to fill.
//
//	Append ─▶ queue ─▶ BEGIN IMMEDIATE ─▶ check, insert ─▶ ... ─▶ COMMIT ─▶ results
//	                        ▲                                       │ error
//	                        └── reopen, checkpoint ◀──── closed ◀───┘
//
// An append is acknowledged after the fsync of the write-ahead log. Positions are 1, 2, 3 and so on without gaps.
// They are assigned under the write lock of SQLite, so no position can appear late. Reads fetch one page ahead of
// their consumer, and no read transaction waits for a consumer.
//
// # Requirements
//
// The file system must implement locks and fsync correctly, which excludes NFS and SMB. The SQLite library must not
// have the WAL-reset bug. No other code in the same process may open the file: closing any other descriptor of it
// would release the locks of SQLite.
//
// # Errors
//
// An append that was refused before COMMIT is not in the log (ErrFull, ErrUnavailable). An append whose COMMIT returned
// an I/O error may be in the log (ErrUnknownOutcome). After either error the writer closes its connection. The next
// append opens a new connection and first moves the write-ahead log into the file: events that a failed fsync may have
// lost must not precede events that are acknowledged later.
//
// The writer also refuses appends if a file of the log is not at its path any more (place.go). Reads continue on the open
// file, but open no other one. A log whose format a newer drover has raised is neither read nor written.
//
// # Items
//
// The durable collections are stored in the table items of the log's file. Logs of earlier versions receive this table
// when they are opened. The writer changes it in the same way as it appends. Dropped items are overwritten in the file
// (secure_delete). Then the writer empties the write-ahead log, which still contains them. If a reader prevents this,
// the writer retries every second; if the process stops before that, the next one retries when it starts. Blocks that
// the file system has freed but not overwritten may still contain the data.
//
// The lossy collections, leases and output, are stored in a second file beside the log, NAME.ephemera, without fsync.
// They may be lost, and they do not slow down or enlarge the log.
package sqlite
