// Package projections derives the current state from the event log. View is the result of one pure fold over the whole
// log: Apply takes the next event and never fails. Equal logs give equal views on every server.
//
// # What it decides
//
// The fold decides everything that depends on the exact order of events in several streams: whether a claim counts,
// which machines a deployment covers, which holds a deployment leaves, and which candidates are open. Each of these is
// decided at the position of the event that caused it, and none is written to the log. The packages policies, triggers
// and rollout read the view and decide which events to append next.
//
// # What it relies on
//
// Events arrive in log order, each once. Apply ignores an event that it has already folded. The fold reads no clock: a
// pin or hold with a deadline ends by an event, and Ages measures durations outside the view.
//
// # What it promises
//
//   - An event that cannot be folded sets its own stream aside. All other streams continue.
//   - An event about something that was deleted changes nothing.
//   - A name that is used again starts empty: nothing of the former machine, project or environment remains.
//   - A snapshot that Save wrote loads into an equal view.
//
// # When it stops
//
// An event of an unknown type may restrict what this version is about to do. View.Fence then names it, and the engine
// stops deciding. Unknown events of streams that only inform are counted in View.Ignored instead.
//
// # Files
//
//	view.go            View and Apply: set-aside streams, the fence against newer servers
//	folds.go           the table of folds: which streams each one owns, and how it is saved
//	fleet.go           machines, environments, policies, tokens, servers, watched absence
//	conditions.go      what agents report about their machines
//	record.go          everything under one machine name: the current machine and its open parts
//	releases.go        projects, releases and pins
//	deployments.go     deployments and their parts: queued, released, withdrawn, ended
//	failures.go        which parts count as failures, and when they stop a deployment
//	waves.go           the waves in which a deployment proceeds
//	acceptance.go      deployments whose release is wanted although parts failed
//	parts.go           claims and ends of parts, and their effect on the machine
//	verify.go          parts whose machine must stay healthy after the success
//	claim_check.go     the ordered rules that decide whether a claim counts
//	holds.go           the holds that people and their deployments leave
//	installed.go       one project on one machine: wanted, actual, dirty, attempts
//	candidates.go      open candidates, and the machines that the sweep looks at
//	retention.go       which ended deployments are retained, and when one is pruned
//	receipts.go        results of accepted commands, by idempotency key
//	listeners.go       an index from machines to the triggers and projects that may match
//	index.go           indexes of machines, deadlines and projects for a tick
//	inconsistencies.go a comparison of all indexes with a full walk, for tests
//	ages.go            how long ago events were folded
//	world.go           domain.World: the view that commands are decided on
//	saved.go           View to bytes
//	loaded.go          bytes to View
//
// An aggregate that lives in another package adds a Fold with its own state, which View.State returns; ADR 14 gives the
// reasons.
package projections
