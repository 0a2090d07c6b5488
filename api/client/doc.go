// Package client is a client of drover's HTTP API. It defines the messages between agents and servers, and the JSON of
// writes and problems. Its Client can try several servers. Where the JSON is the same, the package uses types of
// package domain. It imports only the packages domain and serverkey of drover, so any Go program can use it.
//
//	client.go      Client: reads, writes and downloads
//	stream.go      Follow: live streams (server-sent events)
//	protocol.go    the messages between agents and servers
//	proof.go       the proof by which a server shows its key, and that it knows a token
//	prover.go      connections whose servers have proved themselves
//	socket.go      connections over Unix sockets
//	problem.go     Problem, the kinds of problems, and their HTTP status
//	connection.go  explains connection errors
package client
