// Package agent implements the agent: the drover process that runs on a machine. It is connected to one server at a
// time, reports the machine's health and that it is online, and runs the parts that the server offers. A part is this
// machine's share of a deployment. The agent makes no decisions about releases.
//
// # Session
//
// A session is one run of the agent, from its start to its stop. Its id stays the same when the agent reconnects, even
// to another server. Type session owns all state of the agent and runs in one goroutine. The other goroutines connect,
// receive messages, run the steps and run the health check; they report to the session over channels.
//
// # Journal
//
// The journal is the agent's state on disk (package journal). It has one entry for each part whose end is not
// confirmed. The agent writes the entry before it takes the action that the entry describes, so every action of the
// agent is in the journal.
//
// # Claim before start
//
// An offer alone does not start a part. The agent first claims the part, and the server records the claim in the event
// log. The position of the claim in the log determines whether it counts (the claim check): by then, the deployment may
// be cancelled, or a newer release may be wanted. The agent starts the steps only after the server has confirmed that
// the claim counts.
//
//	server                        agent                           disk
//	  │ ── Offer ──────────────────▶ │ ── entry: claiming ──────────▶ │
//	  │ ◀────────────────── Claim ── │                                │
//	  │ ── Claimed{counts} ────────▶ │ ── entry: running ───────────▶ │
//	  │ ◀───────── Output, Output ── │    steps, one after another    │
//	  │ ◀──────────────────── End ── │ ── entry: ended ─────────────▶ │
//	  │ ── Ended ──────────────────▶ │ ── entry removed ────────────▶ │
//
// # Crash recovery
//
// After a crash, the agent reads the journal and connects. The server's welcome lists the parts that are claimed in the
// log but have no end. The state of each journal entry determines what happens:
//
//   - claiming: if the server lists the part, its claim counted, but no step has started. The agent reports the part as
//     interrupted. Otherwise the claim did not count, and the agent removes the entry.
//   - running: the agent kills the processes that the steps left behind and reports the part as interrupted. It cannot
//     know how far the steps came, so it never runs them again.
//   - ended: the agent sends the output and the end until the server confirms that the end is in the log.
//
// If the server lists a part that has no entry, the agent reports the stored result if it has run the part before,
// and otherwise reports the part as interrupted. The stored results also prevent a part from running twice after the
// log was restored from a backup.
//
// # Guarantees
//
//   - A part runs at most once, even if a process is killed or a message is lost between any two arrows of the diagram.
//   - Steps continue while there is no connection. The agent stores their output and the end. On each new connection it
//     sends both from the beginning, until the end is confirmed.
//   - The agent reconnects indefinitely and tries its servers in turn. The first delay is up to 200 ms, and each
//     further delay is twice as long, with jitter. Only a permanent refusal ends the agent.
//   - On the first request to stop, the agent lets the running step finish, reports the end, and sends a goodbye to the
//     server. On the second request it kills all steps immediately.
//   - Invalid messages from a server (unsupported messages, offers for other machines, duplicates) have no effect
//     except a line in the log. No name in a message can make the agent write outside its data folder.
//
// # Files
//
//	session.go    Run, the session and its event loop
//	part.go       a part from its offer to its confirmed end
//	greet.go      how the agent and a server prove to each other who they are
//	connect.go    the connector: reconnecting, backoff, redirects
//	websocket.go  a connection over a WebSocket, and its TLS settings
//	health.go     the health check
//	config.go, error.go
package agent
