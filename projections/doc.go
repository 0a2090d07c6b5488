// Package projections says what is true now. View is the value of one pure fold over the whole log:
// Apply takes the next event and never fails. Equal logs give equal views, on every server.
//
//	view.go        the fold's entry, streams that are set aside, the fence against newer servers
//	fleet.go       machines, environments, policies, tokens, servers, watched absence
//	releases.go    projects: what their own stream says, and the pins that follow
//	deployments.go deployments and their parts: queued, released, withdrawn, ended
//	retired.go     which ended deployments stay, and when one is forgotten
//	parts.go       claims and ends, and what they leave on a machine
//	gate.go        why a claim is void: the only gate between a part and its start
//	holds.go       the holds that people and their deployments leave
//	installed.go   wanted, actual, dirty, attempts: one project on one machine
//	candidates.go  what events have made due, and the set that the sweep reads
//	listeners.go   which triggers and projects may concern a machine
//	record.go      what is known under a machine's name: the machine, its open parts, whether it was touched
//	saved.go       the view as bytes; loaded.go is the way back
//	index.go       machines, deadlines and projects by what a tick asks for; inconsistencies.go is the walk they equal
//
// # What it relies on
//
// Events come in log order and each once; Apply passes over what it has seen. No fold reads a clock:
// durations are counted beside the view (Ages), and deadlines that people set end by an event.
//
// # What it promises
//
// A fact that cannot be folded sets its own stream aside and nothing else. A fact about something that is
// gone is inert. A name used again starts empty. Everything that several streams decide together (parts,
// holds, actual, candidates) is folded here at the event's own position and is never written down twice.
package projections
