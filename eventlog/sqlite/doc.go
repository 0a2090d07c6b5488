// Package sqlite keeps the log in one SQLite file: drover's default, for any number of
// servers on one host.
//
// It decides how an append becomes durable. All appends of a process go to one writer
// (writer.go), which takes what is waiting, judges each append on its own, and makes the
// whole batch durable with one commit; it never waits for a batch to fill.
//
//	Append ─▶ queue ─▶ BEGIN IMMEDIATE ─▶ judge, insert ─▶ ... ─▶ COMMIT ─▶ answers
//	                        ▲                                       │ error
//	                        └── open anew, checkpoint ◀── closed ◀──┘
//
// It relies on a file system whose locks and fsync are true (not on NFS or SMB), on a
// SQLite without the WAL-reset bug, and on nobody else opening the file from within the
// same process: closing any other descriptor of it would drop SQLite's locks.
//
// It promises the laws of package eventlog. An append is acknowledged after the fsync of
// the write-ahead log; positions are 1, 2, 3 and so on without a gap, given out under
// SQLite's write lock, so none can appear late; reads go page by page, one page ahead of
// their consumer, and no read transaction ever waits for a consumer.
//
// It fails like this. An append that was refused before COMMIT is not in the log:
// ErrFull, ErrUnavailable. One whose COMMIT reported an I/O error may be there:
// ErrUnknownOutcome. After either, the writer closes its connection, and the next append
// opens it anew and first moves the write-ahead log into the file: what a failed fsync
// may have lost must not lie beneath what is acknowledged later.
//
// The durable collections are the table items in the log's file, which logs of earlier
// versions get when they are opened. They are changed by the writer, like appends. What is
// dropped is overwritten in the file (secure_delete); then the writer empties the write-ahead
// log, which still holds it. Where a reader is in the way it tries again every second, and so
// does the next start of a process that died before. What remains is what the file system
// has not overwritten of the blocks it freed.
//
// The lossy ones, leases and output, live in a second file beside the log, NAME.ephemera,
// without fsync: they may be lost, and neither slows the log down nor swells it.
package sqlite
