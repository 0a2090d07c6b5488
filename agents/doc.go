// Package agents serves the agents of one server: it lets them in, tells them what is new, and takes their claims,
// output and results. Agents come by the WebSocket of package client's protocol, or by plain HTTP.
//
//	hub.go       Config, Hub: what the wiring starts, tells and drains
//	accept.go    a WebSocket from its hello to its end
//	admit.go     whether an agent is let in, and as what: join, prove, clone
//	session.go   what a connected agent says
//	news.go      what a connected agent is told
//	sessions.go  the open sessions, by machine
//	plain.go     the same by plain HTTP: any program can be an agent
//	part.go      claims, output and ends, for both ways
//	bound.go     how much output of a part is stored
//	fence.go     agents that are sent to a newer server
//
// # What it relies on
//
// The engine decides and appends. Nothing is concluded from an append that succeeded: a claim counts only if the fold,
// read back from the log, says so. Package access proves callers.
//
// # What it promises
//
// At most one live session speaks for a machine. Every message and every answer to an agent is bounded in size and
// time, and an agent that does not take a message is dropped. The output of a part is bounded whatever its agent sends.
// The result of a part is taken in any session of the instance that claimed it, once, and is answered with the event
// that the log has. A fault in one session ends that session alone.
//
// # Locks
//
// While a lock of this list is held, only locks below it may be taken:
//
//	sessions.admitting  one of 64, by machine: one agent of a name is let in at a time. Held over a whole admission,
//	                    with its appends, a ping to an earlier session and the welcome
//	sessions.using      one of 16, by token: one agent at a time uses a join token. Held over that append
//	count.mu            the bytes stored of one part. Held while stored output is counted in the log
//	the engine's        Handle, Read, Judge and Heard take and release them. Functions that are passed to Read and Judge
//	                    run under them, and may take sessions.mu
//	sessions.mu         sessions.open and sessions.plain, the sessions by machine. Never held over a call into the
//	                    engine or over I/O
//	session.mu          what the goroutines of one session share; session.go lists it. Never held over a call or I/O
//	counts.mu           the map of counts; nothing is called under it
//
// What only the pushing goroutine of a session uses (settings, told, log) has no lock: session.pushing says that there
// is one, so there is never a second.
//
// The engine calls Touched while it holds the right to read the log, and perhaps to decide (package engine, Locks). Touched does not
// block: it reads the view, takes sessions.mu and session.mu, and starts a goroutine for each session that has news.
package agents
