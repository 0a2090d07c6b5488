// Package server is one running drover server: it opens the log, folds it, and keeps the engine and
// its door going until it is told to stop.
//
//	server.go   Run: the order in which things start and stop
//	log.go      which backend a log's URL means
//	room.go     a full disk, and when there is room again
//	loops.go    what runs beside the door: tick, reactions, lease, watchdog, pruning of output
//	snapshot.go the view on the disk, for the next start
//	listen.go   where it listens, with TLS or not, and what address others reach it by
//	seam.go     where fault tests get between a server and its log, its callers and its clock
//	context.go  the client context that a first start leaves for the person who started it
//
// # What it decides
//
// Nothing about machines. It decides when the engine is asked: a tick on its schedule; a reaction at
// once when the door took something in, and every second, because silence is heard by nobody else. A
// server that was stopped and wakes starts all counts of silence anew before anything is decided.
//
// # The order
//
//	listen ─▶ open the log ─▶ fold it ─▶ ServerStarted ─▶ client context ─▶ serve, loops
//	not ready, agents and streams go ─▶ stop taking in ─▶ end what runs ─▶ end the loops ─▶ drop the lease ─▶ snapshot ─▶ close the log
//
// The address is taken first, so a second server on it writes nothing. A server that is told to stop while others
// run says so at /readyz for a moment before it takes no more connections. Beyond loopback nothing is
// offered without TLS unless a person said so.
package server
