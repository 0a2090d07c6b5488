// Package agents serves the agents of one server. It admits them, sends them settings and work, and accepts their
// claims, output and results. An agent connects over a WebSocket (the protocol is in package client) or uses plain
// HTTP requests.
//
//	hub.go          Config and Hub, which package server starts, notifies and drains
//	accept.go       a WebSocket connection from its hello to its end
//	unproven.go     the memory budget for connections that have not proved anything
//	limits.go       the token buckets of each machine
//	proof.go        the handshake by which agent and server prove who they are
//	admission.go    whether an agent is admitted: join tokens, secrets, cloned disks
//	memory.go       what an agent remembers of the log, compared with the log before the welcome
//	workers.go      goroutines that wait for the work of sessions
//	inbox.go        reading the messages of a connected agent, apart from handling them
//	session.go      handling the messages of a connected agent
//	push.go         the messages to a connected agent
//	sessions.go     the open sessions by machine
//	httpagent.go    agents that use plain HTTP, so that any program can be an agent
//	remembered.go   what an agent remembers about its successes, compared with the log
//	part.go         claims, output and ends, for both transports
//	conditions.go   what agents report about their machines
//	outputlimit.go  the limit for the stored output of a part
//	handover.go     closing sessions in favour of a newer server
//
// # Dependencies
//
// The engine decides and appends. A claim that was appended does not necessarily count: it counts only if the state
// folded from the log shows that the session runs the part. Package access authenticates callers.
//
// # Guarantees
//
// At most one session acts for a machine at any time. The size of every message is limited, and so is the time to send
// it: an agent that does not accept a message in time is disconnected. The stored output of a part is bounded,
// regardless of what its agent sends. A result is accepted in any session of the instance that claimed the part. It is
// recorded once, and the answer names the recorded event. A panic in one session ends only that session.
//
// # Locks
//
// A goroutine that holds one of these locks may acquire only locks that are further down in the list:
//
//	sessions.lockAdmission   a lock for each machine: one agent of a name is admitted at a time. Held during
//	                         the whole admission with its appends, a ping to an earlier session and the welcome
//	outputCount.mu           the stored output of one part. Held while the output in the log is counted
//	the engine's locks       Handle, Read, ReadWithAge and Heartbeat acquire and release them. Handle may wait for the
//	                         turn of its stream, for example while many agents join with one token. Functions that are
//	                         passed to Read and ReadWithAge run under the locks and may acquire sessions.mu
//	inbox.mu                 the messages of one session that wait; no function is called under it
//	sessions.mu              sessions.open and sessions.overHTTP. Never held during a call into the engine or during I/O
//	session.mu               the state that the goroutines of one session share, listed in session.go. Never held during
//	                         a call or I/O
//	machineLimits.mu         the token buckets of the machines; no function is called under it
//	unproven.mu              the usage of connections that have not proved anything; no function is called under it
//	outputCounts.mu          the map of counts; no function is called under it
//
// The fields settings, sentRevision, killed, log and doubted of a session have no lock. Only the session's pushing
// goroutine uses them, and session.pushing ensures that there is at most one.
//
// The engine calls Touched while it holds its locks for reading the log and possibly for deciding (package engine,
// Locks). Touched does not block: it reads the view, acquires sessions.mu and session.mu, and starts a goroutine for
// each session with changes.
package agents
