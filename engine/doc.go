// Package engine is the tick, and the only place that appends to the log.
//
//	engine.go  opening a log and folding it; reading the view
//	moment.go  one read of the log for all who wait; witness.go is how it notices that the log has lost something
//	handle.go  Handle: one command, checked against the fold, appended at an expected revision
//	tick.go    Tick: read, fold, decide, append; React: what follows at once
//	snapshot.go what a start begins with instead of the log's beginning, if it fits
//	append.go  ids of decisions, repeats after an unknown outcome
//	presence.go who was heard when, leases, sessions whose server is gone
//	silence.go which of the sessions here have been silent for longest
//
// # The way of a decision
//
// Every server folds the same log. A decision is a pure function of that fold (policies, rollout,
// triggers) and is appended at the revision of its stream that was folded; its event ids derive from
// the log, the decision version, the stream's last event and the content. So two servers that decide the
// same write the same events, and of two that saw different prefixes the log refuses one, which reads on
// and decides again. There is no leader and no lock.
//
// Nothing is done because an append succeeded. What was appended is read back from the log and folded
// like anybody else's, and only the fold hands out work.
package engine
