// Package baseline implements the minimum of work that drover's job requires, as a baseline for drover's figures. It
// has an index of machines by role and writes one JSON event per decision. All pending decisions share one write and
// one fsync, and each offer is one TCP write. It has no readable log, no claims, no history, no second server and no
// security.
//
//	server.go     the baseline server, which runs in its own process
//	client.go     its agents, and how the server is controlled
//	websocket.go  another server, which only opens and closes WebSockets
package baseline
