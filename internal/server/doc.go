// Package server runs one drover server. It opens and folds the log, then runs the engine and the HTTP API until it is
// stopped.
//
//	server.go      Run: the order in which things start and stop
//	log.go         OpenLog: the backend for a log URL
//	disk.go        detects a full disk, and when there is free space again
//	storage.go     where the log is stored, and how much space there is
//	backup.go      copies of the log for `drover eventlog backup`
//	loops.go       background loops: ticks, reactions, lease, watchdog, deletion of old output
//	schedule.go    when ticks run
//	head.go        the witness of the log's head, which shows lost events at the next start
//	predecessors.go drops the leases of servers of this data folder that were killed
//	snapshot.go    the snapshot of the view, for the next start
//	listen.go      the listen address, TLS, and the address that other machines use
//	certificate.go reloads the TLS certificate when its files change
//	socket.go      the Unix socket in the data folder
//	bounds.go      limits on connections and request headers
//	context.go     the client context that the first start creates for its user
//	copied_log.go  detects that a listed server serves a copy of this log
//	hooks.go       where fault tests intercept the log, the HTTP server and the clock
//
// # What it decides
//
// The package makes no decisions about machines. It decides when the engine runs: a tick on its schedule, a reaction
// after each accepted command, and a reaction every second to detect expired timeouts. A server that resumes after it was
// suspended restarts all timeouts before the engine decides anything.
//
// # The order
//
//	listen ─▶ open the log ─▶ fold it ─▶ ServerStarted ─▶ client context ─▶ serve, loops
//	not ready, drain agents and streams ─▶ stop accepting ─▶ finish requests ─▶ stop the loops
//	  ─▶ drop the lease ─▶ snapshot, head witness ─▶ close the log
//
// The server binds its listen address first, so that a second server on the same address writes nothing to the log.
// After a stop signal, if other servers run, /readyz first reports for a moment that the server is not ready. Only then
// does the server stop accepting connections. Without TLS, it listens beyond loopback only with an explicit option.
package server
