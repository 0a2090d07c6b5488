// Package api is the door: drover's HTTP API, its live streams, and the WebSocket of agents.
//
//	server.go   Config, API: what the wiring starts, tells and drains
//	route.go    how a route is registered: scope, bounds, position, problems
//	problem.go  every refusal and fault as one RFC 9457 problem
//	access.go   who asks: tokens, agents' own secrets, refusals that come too fast
//	lists.go    what is kept, as package explain shows it
//	commands.go, deploy.go, apply.go   wishes: each is one domain.Command, or several in order
//	why.go, events.go, output.go       the past, and what happens now; past.go has deployments of long ago
//	health.go   /healthz, /readyz, /metrics
//	hub.go      the sessions of agents that this server holds; work is routed by machine
//	admit.go    whether an agent is let in, and as what
//	session.go  what an agent says and is told while it is connected
//	plain.go    the same by plain HTTP: any program can be an agent
//	bound.go    how much output of a part is kept
//
// # What it relies on
//
// The engine decides and appends; nothing here writes to the log by itself. What is answered is read
// from the engine's fold, never concluded from an append that went well: a claim counts only if the fold,
// read back from the log, says so.
//
// # What it promises
//
// Every body, header, list and stream is bounded; a reader that is too slow is dropped and never holds
// up a tick. A write under the same Idempotency-Key is done once. A read with ?after= sees what was written
// at that position, or says that it cannot. Tokens are compared by hash in constant time; an agent's own
// secret is good for its own machine alone. After each accepted command the wiring is told (Kick), so that what
// follows is done at once.
package api
