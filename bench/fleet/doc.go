// Package fleet holds ten thousand agents in one process: real connections, the real protocol of api/client, and
// nothing else that an agent has.
//
//	fleet.go  the agents together: connect, heartbeat, what was handed over and when
//	agent.go  one agent: hello, claim, end, and coming back with the real agent's patience
//	share.go  a fleet in a process of its own, where one process may not open files for all
//	wire.go   the little of a WebSocket that a client needs
//
// An agent here is one goroutine and about 10 KB. It shares the cores with the server that is measured, so it does no
// work of its own: it claims a part and reports at once that it succeeded.
package fleet
