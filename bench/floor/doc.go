// Package floor does the least work that drover's job needs, so that every figure of drover has its ratio to it: an
// index of machines by role, one JSON event per decision, one write and one fsync for all that waits, and one TCP
// write per order. It has no log that could be read again, no claim, no past, no second server and no security.
//
//	server.go  the program, a process of its own
//	client.go  its agents, and the way to tell it what to do
//	door.go    another program: a WebSocket that is opened and closed, and nothing behind it
package floor
