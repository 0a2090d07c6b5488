// Package projections says what is true now. View is the value of one pure fold over the whole log: Apply takes the next
// event and never fails. Equal logs give equal views, on every server.
//
//	view.go        the fold's entry, streams that are set aside, the fence against newer servers
//	folds.go       the rows of the fold: which streams each applies, and how it is saved
//	fleet.go       machines, environments, policies, tokens, servers, watched absence
//	record.go      what is known under one machine's name; the indexes point to it
//	releases.go    projects, their releases, and the pins that follow
//	deployments.go deployments and their parts: queued, released, withdrawn, ended
//	retired.go     which ended deployments stay, and when one is forgotten
//	parts.go       claims and ends, and what they leave on a machine
//	gate.go        why a claim is void: the only check between a part and its start
//	holds.go       the holds that people and their deployments leave
//	installed.go   wanted, actual, dirty, attempts: one project on one machine
//	candidates.go  what events have made due, and the set that the sweep reads
//	listeners.go   which triggers and projects may concern a machine
//	index.go       machines, deadlines and projects by what a tick asks for; inconsistencies.go compares them with a full walk
//	world.go       the view as commands ask it
//	saved.go       the view as bytes; loaded.go is the way back
//	ages.go        how long ago events were folded
//	receipts.go    what accepted commands led to, by the ids that their senders chose
//
// # What it relies on
//
// Events come in log order and each once; Apply ignores what it has seen. No fold reads a clock: durations are counted
// beside the view (Ages), and deadlines that people set end by an event.
//
// # What it promises
//
// An event that cannot be folded sets its own stream aside and nothing else. An event about something that is gone changes
// nothing. A name that is used again starts empty. Everything that follows from several streams together (parts, holds,
// actual, candidates) is folded here at the event's own position and is never written to the log.
//
// An aggregate with a package of its own adds a row with a state of its own (Fold.New, View.State); ADR 14 says why.
package projections
