// Package api is drover's HTTP API: routes, problems, live streams, metrics and backups. It parses requests, asks the
// packages behind it, and writes what they answer.
//
//	server.go   Config, API: what the wiring starts and drains
//	route.go    how a route is registered: scope, bounds, position, key
//	problem.go  every refusal and fault as one RFC 9457 problem
//	commands.go, deploy.go, apply.go   writes: each is one domain.Command, or several in order
//	people.go   the names of people, stored beside the log
//	lists.go, reads.go, log.go         reads, which package query answers
//	events.go, output.go, sse.go       events and output, at once or as server-sent events
//	plain.go    agents by plain HTTP, which package agents serves, as it does the WebSocket
//	health.go   /healthz, /readyz, /metrics
//	backup.go   a copy of the log's file
//
// Package access says who a caller is, query answers reads, agents serves agents, and the engine takes commands. Their
// errors are of package api/problem or become one; only this package writes them to HTTP.
//
// # What it promises
//
// Every body, header, list and stream is bounded; a reader that is too slow is dropped and never holds up a tick. A write
// under the same Idempotency-Key is done once. A read with ?after= sees what was written at that position, or says that
// it cannot. A live stream ends with the token of its caller. What follows from a
// command is done at once (engine.Config.OnAccepted).
//
// The one lock, of a live stream, is held while a message is written: nothing else is locked under it.
package api
