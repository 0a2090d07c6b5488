// Package policies decides what happens to machines and deadlines as time passes: which sessions have ended because
// they were silent for too long, which absent machines are deleted, and which pins and holds have expired.
//
// # What it relies on
//
// Every function is pure. It decides from a view and from what one server has measured itself: how long a session was
// silent, how long the server has run without interruption, and how old the leases of other servers are.
//
// # What it promises
//
// No single server measures absence. Absence is the sum of the spans in the log during which some server watched
// (WatchPassed), so an outage of drover adds nothing to it (law 22). If too large a share of an environment is absent
// at the same time, that is an outage: CleanUp records it and deletes nothing (law 23).
//
// A decision that is based on an old view does no harm. The log refuses it, because its stream has moved on, and the
// engine decides again.
package policies
