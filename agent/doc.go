// Package agent is what drover is on a machine: one process that keeps one connection to one
// server, reports that the machine is there and whether it is healthy, and carries out the
// parts that it is offered.
//
// It decides nothing about releases. A part goes this way:
//
//	server                        agent                           disk
//	  │ ── Offer ──────────────────▶ │ ── entry: claiming ──────────▶ │
//	  │ ◀────────────────── Claim ── │                                │
//	  │ ── Claimed{counts} ────────▶ │ ── entry: running ───────────▶ │
//	  │ ◀───────── Output, Output ── │    steps, one after another    │
//	  │ ◀──────────────────── End ── │ ── entry: ended ─────────────▶ │
//	  │ ── Ended ──────────────────▶ │ ── entry forgotten ──────────▶ │
//
// It relies on the server for the only gate (a claim counts or not) and on package journal
// for what is on the disk before each arrow; package run carries out the steps and package
// output keeps what they print.
//
// It promises that
//
//   - a part is run at most once, whatever is killed or lost between any two arrows: what
//     was not seen to count does not start, and what was started and not seen to end is
//     reported as interrupted;
//   - steps go on while there is no connection; output and end are kept and sent later, on
//     each new connection from the beginning, until the end is confirmed;
//   - a lost connection is tried again for ever, with the servers in turn, first within
//     200 ms, then at doubled delays with jitter; only a refusal that is final ends the agent;
//   - when it is asked to stop, the running step may end, what ended is reported, and the
//     server is told goodbye; when it is asked again, all is killed at once;
//   - a server that sends nonsense (unknown messages, work for others, the same twice) costs
//     a line in the log, and no name of its making leads out of the data folder.
//
// One goroutine, the session's, owns all state; the others (connecting, receiving, the
// running part, the health check) tell it what happened over channels.
package agent
