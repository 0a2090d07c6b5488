// The swarmkit command runs the workload of drover's measurements on the orchestrator of Docker Swarm: nodes become
// ready at the same time, and a global service is constrained to half of them. It is a separate module, so that drover
// does not depend on swarmkit.
//
//	go run -C bench/swarmkit . -nodes 10000
//
// It prints one line per mode, each from a separate process: with the store in memory, with the store behind a raft
// log of one manager on disk, and with the dispatcher as well. The streams of the dispatcher are called in the same
// process, so its figures do not include gRPC and TLS.
package main
