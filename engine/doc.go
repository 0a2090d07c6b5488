// Package engine is the tick, and the only place that appends to the log.
//
//	engine.go   opening a log and folding it; reading the view
//	rules.go    what an engine folds and decides by: the table of deciders, the decision version
//	handle.go   Handle: one command, checked against the fold, appended at an expected revision
//	tick.go     Tick: read, fold, decide, append; React: what follows at once
//	openwork.go which parts of open deployments have to be lastLook at
//	append.go   ids of decisions, repeats after an unknown outcome
//	follow.go   Follow: the events after a position, those that are there and those that come
//	consumer.go Consume: work that follows the log with a durable cursor, on one server at a time
//	why.go      the events that tell of a machine and a project; replay.go folds the log as it was
//	moment.go   one read of the log for all who wait
//	witness.go  how a read notices that the log has lost events; doubt.go is what follows from that
//	snapshot.go the saved view that a start begins with, if it fits the log
//	presence.go when each session was last heard of, leases, sessions whose server is gone
//	silence.go  which of the sessions here have been silent for longest
//	faults.go   what keeps this server from reading, appending or deciding
//
// # How a decision is made
//
// Every server folds the same log. A decision is a pure function of that fold (the rows of Rules) and is appended at the
// revision of its stream that was folded. Its event ids derive from the log, the decision version, the stream's last event
// and the content. Two servers that decide the same thing write the same events. Of two that saw different prefixes of the
// log, the log refuses one, which reads on and decides again. There is no leader and no lock between servers.
//
// Nothing is done because an append succeeded. What was appended is read back from the log and folded like anybody else's
// events, and only the fold hands out work.
//
// # Locks
//
// They are taken in this order, and none is taken while a later one is held:
//
//	Engine.deciding    one tick or reaction at a time; held while it appends
//	reads.turn         one read of the log at a time; guards newest and reads.done, and keeps the view still for a snapshot
//	Engine.mu          the view, batch, ages, doubt, own, changed, unsaved and work
//	presence.mu        heard, leases and what was measured of them
//	faults.mu          the last faults of reading and appending; nothing is called under it
//
// work (worklist) is changed either under mu, or under a read lock of mu by whoever holds deciding.
//
// Config.OnTouched is called under reads.turn, and under deciding too where a tick or a reaction reads. It may read the view; it
// must not call Handle, Tick, React, CatchUp or anything else that waits for a read of the log. A lock of another package that it
// takes must never be held over a call of these. Package agents lists its own; those of access and query are leaves.
package engine
