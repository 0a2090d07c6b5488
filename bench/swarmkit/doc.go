// The swarmkit command lets the orchestrator of Docker Swarm do the work that drover is measured by: nodes become
// ready at once, and a global service is constrained to half of them. It is a module of its own, so that drover needs
// nothing of it.
//
//	go run -C bench/swarmkit . -nodes 10000
//
// Each line that it prints is one way to run it, each in a process of its own: with the store in memory, with the
// store behind a raft log of one manager on disk, and with the dispatcher too, whose streams are called in the same
// process: no gRPC and no TLS are counted against it.
package main
