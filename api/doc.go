// Package api implements drover's HTTP API: routes, problems, live streams, metrics and backups. It parses requests,
// passes them to other packages, and writes their results.
//
//	server.go     Config and API, which package server starts and drains
//	route.go      how a route is registered: permissions, limits, position, idempotency key
//	problem.go    every error as an RFC 9457 problem
//	commands.go, deploy.go, apply.go   writes: each is one domain.Command, or several in order
//	people.go     people's names, which are stored outside the log
//	lists.go, reads.go, log.go         reads, which package query answers
//	events.go, output.go, sse.go       events and output, as lists or as server-sent events
//	httpagent.go  agents that use plain HTTP; package agents serves them like agents on the WebSocket
//	health.go     /healthz, /readyz, /metrics
//	backup.go     a copy of the log's file
//
// Package access authenticates callers, query answers reads, agents serves agents, and the engine executes commands.
// Their errors are problems (package api/problem) or are converted to problems; only this package writes them to HTTP.
//
// # Guarantees
//
// Every body, header, list and stream is bounded. A reader that is too slow is disconnected and never delays a tick. A
// write with the same Idempotency-Key is executed once. A read with ?after= reflects all writes up to that position, or
// fails. A live stream ends when its caller's token expires or is revoked. The consequences of a command are decided
// immediately (engine.Config.OnAccepted).
//
// The only lock belongs to a live stream. It is held while a message is written, and no other lock is acquired under
// it.
package api
