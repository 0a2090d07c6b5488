// Package eventstoredbtest is a test server that behaves like an EventStoreDB cluster. It stores everything in memory
// and supports only the calls that drover uses. A test with it is meaningful only as far as the real server behaves
// alike; make test-eventstoredb runs the same conformance suite on a real cluster.
//
//	cluster.go  Config, Cluster: start, stop, leader, restore    fault.go   faults that a test injects
//	node.go     one server: start, kill, freeze, GOAWAY          access.go  users and permissions
//	append.go   the Append call         store.go   the shared records and the rules of appends
//	read.go     reads and subscriptions gossip.go  discovery, server version, requires-leader
//
// The server uses the client's own gRPC protocol over TCP, so that tests use the real client. It follows the public
// source code of the servers 23.10 to 26.1 and imitates:
//
//   - idempotent appends (store.go): exact for an expected revision; through a cache of recent ids for any revision;
//   - repeats of an append that is written but not indexed: refused with a wrong expected version if the cache knows
//     the ids from another stream, otherwise dropped until the commit time-out. Readers see indexed events only;
//   - positions that increase with the bytes written, a separate position for each event, system events between those
//     of drover, and refusal of positions at which no event starts;
//   - $maxCount and $tb in a stream's metadata, which hide events from reads of the stream;
//   - filtered subscriptions to $all: confirmation, events, checkpoints, caught up, live events;
//   - several nodes that discover each other by gossip: one is the leader, the others lag behind and refuse calls that
//     require the leader, naming it in the trailer;
//   - users, permission to read $all, TLS, and the limit of a gRPC server on keepalive pings.
//
// A test injects faults (fault.go), each for one call: a reply lost after the commit, not the leader, unavailable,
// timed out, stalled, refused before the request was read, an unknown message. A node can be killed and restarted on
// its port, asked to close its connections with GOAWAY, frozen, or made the leader.
package eventstoredbtest
