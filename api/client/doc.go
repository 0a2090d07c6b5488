// Package client is the outside view of drover's API: the messages between agent and server, the JSON of writes
// and problems, and a small HTTP client that tries several servers. It uses the types of package domain where the
// JSON is the same, and imports nothing else of drover, so any Go program can use it.
//
//	client.go     Client: reads, writes and downloads
//	stream.go     Follow: live streams (server-sent events)
//	protocol.go   the messages between agent and server
//	problem.go    Problem, the kinds of problems, and their HTTP status
//	unreached.go  what is wrong on the way to a server
package client
