// Package engine folds the event log, decides what follows, and appends it. It is the only package that appends events.
//
// # What it decides
//
// Handle checks one command against the fold and appends the resulting events. Tick appends every decision that is due
// because of the log or the passage of time. React appends only the immediate consequences of an event. The rules of
// these decisions are the folds and deciders in Rules; the engine itself only runs them.
//
// # What it relies on
//
// Every server folds the same log. A decision is a pure function of the fold, and is appended at the revision of its
// stream that was folded. The ids of its events derive from the log, the decision version, the stream's last event and
// the content. Two servers that decide the same therefore write the same events, and the second append is a repeat. If
// they have folded different prefixes of the log, the log refuses one of the appends with a conflict. That server then
// reads on and decides again. There is no leader, and no lock between servers.
//
// # What it promises
//
//   - Nothing happens because an append succeeded. The server reads its own events back from the log and folds them
//     like those of any other server. Only the fold hands out work.
//   - Commands for one stream do not conflict on one server: they take turns, and commands that
//     remove power go first.
//   - A command that is sent again with the same idempotency key is executed once and gets the same answer.
//   - A log that has lost events is detected at the next read, before anything is decided on it.
//
// # When it stops
//
// A server stops deciding while a newer version of drover writes to the log (ErrFenced), and while the log has lost
// events and no person has accepted that (ErrLostEvents). It still folds, answers reads, and records results that
// agents report. Stopped returns the reason. While reads or appends of the log fail, Ready returns the error, and every
// later read and append tries again.
//
// # Files
//
//	engine.go     Open and Start: folding a log, and reading the view
//	rules.go      Rules: the table of deciders and the decision version
//	handle.go     Handle: one command
//	tick.go       Tick and React: the decisions of a server
//	worklist.go   the open parts that must be examined again
//	turns.go      turns: the commands of one stream on this server, one after the other
//	append.go     appends: ids of decisions, retries after an unknown outcome
//	reads.go      reads of the log, shared by all callers that wait for one
//	checkpoint.go the newest event that was read, with which each read starts, and own events that were folded since
//	restore.go    what a server does when the log has lost events
//	snapshot.go   snapshots of the view, for a faster start
//	witness.go    the last event that was read, remembered between runs
//	presence.go   sessions, leases and their timeouts
//	sharing.go    heartbeats that reach another server than the holder of the session
//	clocks.go     the clocks of this server, the other servers and the agents
//	contacts.go   the sessions in order of their last heartbeat
//	follow.go     Follow: all events after a position, stored and new
//	consumer.go   Consume: work that follows the log with a durable cursor, on one server at a time
//	replay.go     Replay: the view as it was in the past
//	why.go        Past: the events about a machine and a project
//	server_key.go the key by which the servers of the log prove themselves
//	faults.go     errors that keep this server from working
//	outages.go    how long the log was unavailable, which no timeout counts
//
// # Locks
//
// Locks are taken in this order, and none is taken while a later one is held:
//
//	Engine.deciding    one tick or reaction at a time; held during its appends
//	turn of a stream   one command at a time decides on the stream and appends to it. A command has one turn. A tick or
//	                   a reaction has those of the streams in which it conflicted; only they have several, and only one
//	                   of them runs, because it holds deciding
//	reads.turn         one read of the log at a time; guards newest, opened and reads.done; no event is folded meanwhile
//	Engine.mu          the view, batch, ages, loss, own, changed, unsaved and work
//	turns.mu           the queues of turns; nothing is called under it
//	presence.mu        contacts, leases and the measurements of both
//	outages.mu         the operations on the log that run or failed; nothing is called under it
//	wallClock.mu       the clocks of the agents and the verdict on the clock of this server; nothing is called under it
//	                   except Config.Clock and Config.Logger
//	faults.mu          the last errors of reading and appending; nothing is called under it
//
// work is changed under mu, or under a read lock of mu by the goroutine that holds deciding.
//
// Config.OnTouched is called under reads.turn, and under deciding too if a tick or a reaction reads. It may read the
// view. It must not call Handle, Tick, React, CatchUp or anything else that waits for a read of the log. A lock of
// another package that it takes must never be held during a call of these methods.
package engine
