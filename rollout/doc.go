// Package rollout decides how a deployment proceeds: which parts are released, skipped, withdrawn or lost, when a
// deployment has ended and with which state, and what work a machine is offered.
//
//	decide.go  decisions about open deployments and their parts
//	work.go    the part that a machine is offered, and the parts that its agent must report or stop
//
// # What it decides
//
// Decide returns every decision that is due. DecideOn examines only the parts that the caller selects: the engine
// tracks which parts may be due, so the cost of a reaction to one report does not grow with the number of other
// machines at work. This package does not decide whether a claim counts. The fold does (projections.View.ClaimCheck).
//
// # What it relies on
//
// Every function is pure. It decides from a view and from how long ago the view's events were folded.
//
// # What it promises
//
// Two servers with the same view return the same decisions, so any server may append them. If the log has moved on, a
// decision is void or harmless. A withdrawal ends only the parts that are unclaimed at its own position. The end of a
// part is appended to the part's own stream, so it cannot cross a claim of the part.
package rollout
