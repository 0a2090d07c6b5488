// Package eventstoredbtest is a test double of an EventStoreDB cluster, not a database: it
// keeps everything in memory and knows only what drover asks of the real one. Whatever a
// test shows with it holds for the real server as far as the double is like it, and no
// further; make test-eventstoredb runs the same laws on a real cluster.
//
// It speaks the client's own gRPC protocol over TCP, so that the client under test is the
// real one. It was written after the public source of the servers 23.10 to 26.1, and mimics:
//
//   - the rule of idempotent appends (store.go), exact for an expected revision and by a
//     short memory of ids for any;
//   - positions that rise with the bytes before them, each event at its own, system events
//     between ours, and a refusal of positions at which no event begins;
//   - $maxCount and $tb of a stream's metadata, which hide events from reads of the stream;
//   - filtered subscriptions to $all: confirmation, events, checkpoints, caught up, live;
//   - several nodes that tell of each other by gossip: one leads, the others lag behind and
//     refuse what requires the leader, naming it in the trailer;
//   - users, rights on $all, TLS, and the bound on keepalive pings of a gRPC server.
//
// Faults (fault.go) are switched on by a test, each for a number of calls: a reply lost
// after the commit, not the leader, unavailable, timed out, stalled, refused before the
// request was read, a message that no client knows. A node can be killed and started again
// on its port, told to close its connections politely (GOAWAY), or to lead.
package eventstoredbtest
