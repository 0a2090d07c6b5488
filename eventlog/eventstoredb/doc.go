// Package eventstoredb stores the event log in an EventStoreDB or KurrentDB cluster. It uses the client
// github.com/EventStore/EventStore-Client-Go.
//
//	open.go, target.go  Open, Config, the connection string, the identity of a log
//	log.go              Log; how a call is tried and retried
//	connection.go       a pool of clients, each used by one call at a time
//	append.go, event.go appends, and how an event is encoded
//	read.go, head.go    reads of one stream and of the whole log; the head
//	store.go            the collections of package eventlog: items.go, lease.go and output.go, on top of streams.go
//	fault.go            what each error of the client means
//
// # Layout in the database
//
// Other applications may use the same database. Stream S of log L is the stream "drover.L.S", and the whole log is
// $all filtered by the prefix "drover.L.". The id of the log and its collections are in auxiliary streams
// ("drover-log.L" and so on), which the prefix does not match. The data of an event is its canonical JSON, byte for
// byte. Its metadata holds the time, the command, the causes and a checksum.
//
// # How an append works
//
//	Append ─▶ try ─▶ connection ─▶ exclusive client ─▶ leader node
//	  ▲                  ▲ returned after the call         │
//	  └─ readBack        └─────────── outcomeOf ◀──────────┘ answer or error
//	                       in doubt: discard all clients, wait, send again
//
// An append without an answer is sent again with the same ids at the same expected revision, until the context or
// Config.RetryTimeout ends. Then it returns ErrUnknownOutcome. The server confirms a repeated append in the same way as
// the first one. So each call writes a random mark into the metadata and reads the last event back, which gives its
// position and shows which call wrote it. That costs one more round trip. An import needs neither, so AppendForImport
// reads nothing back.
//
// # Requirements on the server
//
// The package relies on the following behaviour of servers 23.10 and newer. It was derived from their source code; the
// tests of this package use a test server (eventstoredbtest).
//
//   - Each event that is appended over gRPC has its own place in the transaction log. $all and stream reads report it
//     both as commit and as prepare position. So the commit position strictly increases, even within one append, and
//     a subscription can continue after any event. An event whose two positions differ is reported as damaged.
//   - An append at an exact expected revision before the end of the stream succeeds if the same ids are at exactly
//     these revisions, and is otherwise refused. This holds once these events are indexed. Before that, the server
//     drops a repeat until the commit time-out, or refuses it if it remembers the ids from another stream. So an append
//     that is refused compares the stored ids itself.
//   - With requires-leader, only the leader answers, and only with events that a majority has.
//   - A filtered subscription sends a checkpoint, or reports that it has caught up, when it reaches the end of $all.
//
// # Faults of the client
//
// The package works around these faults of the client, most of them in the connection pool:
//
//   - A client that does not find its node after a number of attempts closes itself permanently, even if the server
//     comes back. A new client must replace it. So a pooled client makes one attempt, and is discarded if that fails.
//   - While a client looks for its node, all its calls block even if their contexts are done, and some never return. So
//     no two calls share a client. Each call runs in its own goroutine; if the context is done first, that goroutine is
//     abandoned. It ends a few seconds later, together with the client's search.
//   - The client sets requires-leader in a place that is never sent. Without it, a node that is no longer the leader
//     answers with stale data. So toLeader adds it to the outgoing metadata.
//   - The client panics on messages that it does not know. So each call recovers from panics.
//   - The client leaks a connection each time it is redirected to a leader that it cannot reach. So one goroutine
//     connects at a time, with a wait after each failure.
//   - The actual revision after a conflict is only part of a message text. So Append reads it from the stream, which
//     also shows whether the conflicting events are its own.
//   - The client silently ignores unknown parameters of a connection string. So Open rejects them.
//
// Only subscriptions can be filtered, although the protocol also has filtered reads. So ReadAll uses a subscription, up
// to the position that was the end of $all when the read began. A read of the whole log begins at the event that
// created the log, not at the beginning of $all. Head reads $all unfiltered and backwards, down to the
// last position that was read before. The user needs permission to read $all; by default only $admins have it.
//
// # Collections
//
// An item of a durable collection is the last event of a separate stream, changed at an exact expected revision.
// items.go explains how the directory of these streams stays consistent. A replaced or dropped item is hidden
// immediately; the server removes it from disk during a scavenge. Leases and output are not durable: losing them is
// harmless. Pruning deletes output chunks in the order of arrival, because the clocks of two servers may differ.
package eventstoredb
