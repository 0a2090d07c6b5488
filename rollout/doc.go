// Package rollout says how a deployment is carried out: which parts are released, which are skipped,
// withdrawn or lost, when a deployment has ended and how, and what work a machine is offered.
//
// Everything here is a pure function of a view and of how long ago its events were folded. Decide
// returns what any server may write; two servers that see the same view return the same. What it
// wants is void or repeated harmlessly if the log has moved on: a withdrawal touches only parts that
// nobody has claimed at its own position, and the end of a part excludes a claim by the part's own
// stream. DecideOn looks at some parts alone: the engine keeps track of those that may have something due, so a
// reaction to one machine's report costs the same however many others are at work. Whether a claim counts is not decided here but in the fold (projections.View.ClaimCheck).
package rollout
