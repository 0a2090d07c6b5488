// Package fleet runs ten thousand agents in one process. They use real connections and the real protocol of api/client,
// but no other code of the real agent.
//
//	fleet.go  all agents: connect, heartbeats, which parts were offered and when
//	agent.go  one agent: hello, claim, end, and reconnecting with the backoff of the real agent
//	share.go  a part of a fleet in its own process, when one process may not open enough files
//	wire.go   the part of a WebSocket client that an agent needs
//
// An agent takes one goroutine and about 10 KB. It shares the cores with the measured server, so it does no work
// itself: it claims a part and immediately reports that the part has succeeded.
package fleet
