// Package explain builds what people and scripts read: the JSON shapes of the API, the tables of `drover get`, and the
// answer to `drover why`. Every function is pure: it depends only on a view, on verdicts and on recorded events. The
// server, the command line and the scenarios therefore print the same text.
//
//	shapes.go       the JSON shapes; scripts depend on their fields
//	page.go         Filter, and how a list is cut into pages
//	machines.go     machines, environments and policies
//	candidates.go   candidates, due deployments, projects, triggers and releases
//	deployments.go  deployments and their parts
//	others.go       servers, tokens and recorded events
//	names.go        the names of people, and how a requester is shown
//	reach.go        how many machines a deployment would target
//	why.go          the answer to `drover why`
//	sentence.go     one sentence for each reason of a verdict
//	history.go      the events that concerned a machine and a project
//	table.go        tables
//	plain.go        escaping of untrusted text for a terminal
package explain
