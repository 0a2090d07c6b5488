// Package eventstoredb keeps the log in an EventStoreDB or KurrentDB cluster, through the
// client github.com/EventStore/EventStore-Client-Go.
//
// It decides how drover's log lies in a database that others may use too. The stream S of
// the log L is the stream "drover.L.S"; the whole log is $all, filtered by that prefix. The
// log's id and what is stored beside it lie in streams without the dot ("drover-log.L" and so
// on), which that filter leaves out. An event's time, command, causes and checksum are its
// metadata, its data is the canonical JSON, byte by byte.
//
//	Append ─▶ try ─▶ connection ─▶ a client of its own ─▶ node that leads
//	  ▲                  ▲ kept for the next call               │
//	  └─ place: read back └─────────── upshotOf ◀───────────────┘ answer or error
//	                       in doubt: throw all clients away, wait, send again
//
// It relies on the following behaviour of servers 23.10 and newer, read in their source and
// not tried on a real cluster in our tests, which run on a double (eventstoredbtest):
//
//   - every event that is appended over gRPC has a place of its own in the transaction log,
//     and $all gives that as commit and as prepare position; so the commit position rises
//     strictly, also inside one append, and a subscription can go on behind any event. An
//     event whose two positions differ is refused as damaged;
//   - reads of a stream tell that position too;
//   - an append at an exact expected revision is answered with success if the same ids are
//     there at that very place, otherwise refused; both answers are exact;
//   - with requires-leader, only the leader answers, with what a majority holds;
//   - a filtered subscription sends a checkpoint or says that it has caught up when it comes
//     to the end of $all.
//
// It promises the laws of package eventlog. Two appends of the same ids are answered alike by
// the server; a mark in the metadata, drawn for every call, tells which of them wrote. That,
// and the position, is read back after each append: it costs one more round trip.
//
// It fails like this. The client has faults of its own: it is dead for ever when it does
// not find its node in time, blocks others while it searches, whatever their contexts say,
// and panics at what it does not know. So each call has a client for itself, in a goroutine
// that is left behind when the context ends; clients are kept for the next call, and thrown
// away at the first sign of trouble. An append without an answer is sent again, the same ids
// at the same expected revision, until the context or Config.Patience ends; then the error
// is ErrUnknownOutcome. A goroutine that is left behind ends when its client has searched
// once, after seconds.
//
// The whole log is read by a subscription, up to the end of $all that stood when the read
// began: the protocol has filtered reads too, but the client filters subscriptions alone.
// For the same reason Head reads $all unfiltered, backwards, as far as it was not read
// before. The user needs the right to read $all, which by default only $admins have.
//
// An item of a durable collection is the last event of a stream of its own, changed at an
// exact expected revision; items.go says how the directory of these streams stays true. What
// is replaced or dropped is hidden at once, and leaves the disks when the cluster is scavenged.
//
// Leases and output may be lost. A chunk of output that is older than the limit but stands
// behind a newer one, because the clocks of two servers differ, is pruned with that one.
package eventstoredb
