// Package clocks judges the wall clock of a server. A deadline that a person set (a pin, a hold, the retention of output)
// must not pass because one clock is wrong, so a server lets such deadlines pass only while its clock is confirmed.
//
// # What it decides
//
// A Clock receives readings: the wall clock and the monotonic clock of its server at one moment, and what the clocks of
// other servers and of the connected agents show at that moment. It answers with a Verdict.
//
//	other servers     A clock needs a majority of the live servers, itself included, within Bound. Two servers that
//	                  disagree therefore block each other; of three, one wrong server blocks only itself.
//	agents            The median of at least MinAgents agents counts, if more than half of the agents are within Bound
//	                  of it. A minority of agents, whatever it says, neither blocks nor confirms a clock.
//	monotonic clock   Without other servers and agents, a confirmed clock stays confirmed while it advances with the
//	                  monotonic clock. A jump ends that.
//
// If servers or agents disagree, the clock is not confirmed for as long as they do. If they agree, it is confirmed at
// once, even after a start or a jump. If there are neither, a clock that has just started or jumped is confirmed after
// it has advanced evenly for Settle. That bounds the wait after a virtual machine was suspended, because its monotonic
// clock stands still meanwhile. The clock of a server that starts on an empty log is confirmed from the beginning: the
// log has no deadline from before.
//
//	                 empty log, witnesses agree, or Settle has passed
//	started ───────────────────────────────────────────────────────▶ confirmed ◀─┐
//	   ▲ │                                                            │     │    │ witnesses agree,
//	   │ └──── witnesses disagree ───▶ contradicted ◀── disagree ─────┘     │    │ or Settle has passed
//	   └────── witnesses are gone ──────────┘                        jump   ▼    │
//	                                                                       jumped
//
// A correction of the clock in small steps never ends a confirmation, because each confirmed reading becomes the
// reference of the next one.
//
// # What it does not know
//
// A server without other servers and with fewer than MinAgents agents has no witness. If its clock is wrong for longer
// than Settle, deadlines follow the wrong clock.
package clocks
