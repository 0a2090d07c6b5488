// Package sim runs random days of drover: seeded servers, agents, people, clocks and faults over the real
// engine and the log in memory, on one goroutine and a clock that is moved by hand. After every step the
// never-laws are checked; then everything is healed, and the eventually-laws are.
//
//	history.go    a step of a day as data, and how random ones are drawn
//	plant.go      the world of one day: its log, clock, servers, and what is checked after every step
//	servers.go    servers, each with a clock of its own: ticks whole and in steps, crashes, time that passes
//	faults.go     processes that are stopped, pages cut, replies lost, logs away, leases unseen, clocks that jump or stand
//	damage.go     events that nobody can fold, and the words that clear their streams
//	agents.go     machines: joins, flaps, new disks, claims, ends, deaths in the middle of a part
//	people.go     what owners and operators command
//	snapshots.go  what a server keeps of its view over a restart, held against the view
//	wire.go       one server's way to the log, with its faults
//	ledger.go     the reference: what the log and the agents' own memory say, folded the plain way
//	laws.go       never: what must hold after each event
//	absence.go    never and eventually: who is cleaned up
//	pending.go    what events have made due and nothing has settled
//	heal.go       eventually: what must hold once everything works again
//	transcript.go a day as a scenario file
//	shrink.go     the shortest part of a day that still breaks a law
//
// `make sim SEED=7 TICKS=10000` runs exactly so many ticks from that seed, on one to five servers, and says which faults it
// put in. A day that breaks a law is made shorter and written as a scenario file, the path of which is printed.
//
// # What it relies on
//
// A day is a function of its steps: nothing else is random, so a day runs again exactly, a shorter day is a
// day, and a failure is printed as the steps that led to it, in the grammar of package scenario.
//
// # What it promises
//
// Each check quotes the law of docs/laws.md that it is about. The checks do not ask the fold what they check it
// for: agents know themselves what they ran, and the ledger reads the raw log. Each law has its breaks in
// testdata/breaks.txt, lines of drover made wrong on purpose, which a test proves it to see.
package sim
