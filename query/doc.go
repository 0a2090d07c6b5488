// Package query answers every read of a server, for the HTTP API, and for whatever else shows drover to people. Inputs
// and answers are plain values; nothing here knows HTTP.
//
//	query.go   Queries: what they read, and how a read waits for a position
//	lists.go   lists, and one thing of each kind
//	past.go    deployments that the view has forgotten
//	why.go     why a machine has what it has, now or as it was
//	events.go  the events of the log, page by page or as they happen
//	output.go  the output of parts, at once or as it comes
//	files.go   resources as files, what an apply would change, what is due, where a deployment would go
//	doctor.go  what `drover doctor` finds
//	health.go  what keeps the server from its work, what a person should look at
//	log.go     the whole log: verify and export
//
// Answers come from the engine's fold and from the log, and nothing is written. Every list and page is bounded. What
// reads the whole log (as it was, deployments of long ago, dry runs, verify) may run twice at once; others wait.
// Followers read page by page into memory, so that a slow reader never holds up the log or a tick.
//
// The one lock, of those who wait for output, is a leaf. Functions that are passed to Engine.Read or Engine.Judge run
// under the engine's lock: they build values and lock nothing.
package query
