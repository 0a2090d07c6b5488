// Package witness stores the last event that the servers of a data folder have seen in a log. The file shows at the
// next start, and to `drover eventlog verify`, whether the log has lost acknowledged events. The log alone cannot show
// it: SQLite silently ignores a damaged end of its write-ahead log, and an old copy of a database is intact.
//
//	witness.go     File: opened by a server, written after each read that returned events
//	record.go      the format of the file
//
// # The file
//
// A data folder has one file for each log, head-ID, where ID is the id with which the log was created. The file holds
// two records, each in its own block, as one line of JSON with a checksum. A write replaces the older record, so a
// write that is interrupted damages at most one of them. Both records must be in the log.
//
// # How far it lags
//
// A record is written before the command that caused the event is acknowledged. It is written without a sync and
// survives kill -9. Sync makes it durable; the server calls it once a second, so after a power cut the file can lack
// the events of the last second. The file is never ahead of the log, because only events that were read from the log, or
// whose append has succeeded, are recorded. Both happen only after an event is durable.
//
// # Several servers
//
// Several servers may share a folder and a log. They write to the same file, and each of their records is a true
// statement about the log, so it does not matter whose record remains. Records of another log are in another file.
package witness
