// Package query answers all read requests to a server, from the HTTP API and from other callers. Inputs and results are
// plain values, independent of HTTP.
//
//	query.go   Queries: its configuration, and reads that wait for a position
//	lists.go   lists of each kind of resource, and single resources
//	past.go    deployments that the view has pruned
//	why.go     why a machine has its release, now or in the past
//	events.go  the events of the log, by page or as a stream
//	output.go  the output of parts, by page or as a stream
//	files.go   resources as files, what an apply would change, due machines, which machines a deployment would reach
//	doctor.go  the findings of `drover doctor`
//	health.go  why the server is not ready, and problems that need a person
//	access.go  Access resources, and who may do what
//	log.go     the whole log: verify and export
//
// # What it relies on
//
// Results come from the engine's view and from the log. This package writes nothing.
//
// # What it promises
//
// Every list and page is bounded. A query that reads the whole log (past states, pruned deployments, dry runs, verify)
// is expensive, so at most two of them run at once and further ones wait. A stream reads page by page into memory, so a
// slow reader does not block the log or a tick. Errors for the caller are *problem.Problem.
//
// # Locks
//
// The one lock, in arrivals, is a leaf. Functions that are passed to Engine.Read or Engine.ReadWithAge run under the
// engine's lock: they build values and take no lock.
package query
