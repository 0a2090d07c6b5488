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
// Their errors are problems (package api/problem) or are converted to problems; only this package writes them as HTTP
// responses.
//
// # Guarantees
//
// Every body, header, list and stream is bounded. A slow reader is disconnected and never delays a tick. A write with
// the same Idempotency-Key is executed once. A read with ?after= reflects all writes up to that position, or fails. A
// live stream ends when its caller's token expires or is revoked. Decisions that follow from a command are made
// immediately, without waiting for the next tick (engine.Config.OnAccepted).
//
// The only lock of the package belongs to a live stream. It is held while a message is written, and no other lock is
// acquired while it is held.
package api
