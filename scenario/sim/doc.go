// Package sim runs random simulations of drover: seeded servers, agents, people, clocks and faults, on the real engine
// and a log in memory. A simulation uses one goroutine and a simulated clock. After every step, the safety properties
// are checked. At the end, everything is repaired and the liveness properties are checked.
//
//	steps.go               a step of a run as data, and how random steps are drawn
//	cluster.go             the state of one run: its log, clock, servers and agents
//	servers.go             servers with their own clocks: ticks, single steps of ticks, crashes, passing time
//	faults.go              frozen processes, short pages, lost replies, an unavailable log, missing leases, wrong clocks
//	damaged_streams.go     events that cannot be folded, and the commands that clear their streams
//	conditions.go          what agents report about their machines
//	agents.go              machines: joins, flaps, claims, ends, crashes during a part
//	identity.go            new disks under a name, self-deletion, and changes of what a machine is
//	sessions.go            how agents connect, lose their server and return
//	disks.go               copies of disks, and what agents remember after their disk was restored
//	people.go              the commands of people
//	previews.go            the previews of commands, compared with the next tick
//	snapshots.go           the snapshots of a server, compared with its view
//	faulty_log.go          the connection of one server to the log, with its faults
//	ledger.go              the reference model: the state of the fleet according to the raw log
//	ledger_facts.go        what a machine's own stream records about it
//	ledger_machines.go     the model of machines and environments
//	ledger_nature.go       what a machine keeps when its agent deletes it or another instance takes its name
//	ledger_projects.go     the model of projects and triggers
//	ledger_deployments.go  the model of deployments, parts and holds
//	ledger_parts.go        the model of parts before their claim
//	ledger_claims.go       the model of the claim check
//	ledger_verify.go       the model of verifications
//	laws.go                safety: what must hold after each event
//	absence.go             safety and liveness: which machines are cleaned up
//	pending.go             the events that made machines due and are not settled
//	heal.go                liveness: what must hold after everything has been repaired
//	transcript.go          a run as a scenario file
//	shrink.go              the shortest part of a run that still violates a law
//	dump.go                views as text, to show their differences
//
// `make sim SEED=7 TICKS=10000` runs exactly that number of ticks from that seed, on one to five servers, and reports
// which faults it injected. A run that violates a law is shortened and written as a scenario file, whose path is
// printed.
//
// # What it relies on
//
// A run is a function of its steps. Nothing else is random, so a run can be repeated exactly, any part of a run is also
// a run, and a failure is printed as the steps that led to it, in the language of package scenario.
//
// # What it promises
//
// Each check quotes the law of docs/laws.md that it verifies. The checks do not use the fold to verify the fold: agents
// know which parts they ran, and the ledger reads the raw log. The ledger decodes events, but does not use the fold,
// the claim check or the state of package domain. It decides itself whether a claim counts, so the fold must neither
// count a void claim nor refuse a valid one, and a server must offer a machine exactly the parts that may start there.
// Each law has negative controls in testdata/breaks.txt: deliberate defects in drover, for which a test proves that the
// simulation detects them.
package sim
