// The bench command measures drover and compares it with its budgets. Each row of docs/performance.md is one
// measurement.
//
//	go run ./bench burst          # one row
//	go run ./bench -short all     # the short form of every row, under five minutes (make bench)
//	go run ./bench all            # the full form of every row (make bench-long)
//
// Each row prints a table and writes it to docs/performance/measurements.md with the machine, the commit and the
// command. Rows measure real processes with a durable log. In the same run they also measure a baseline: the least work
// with which the same job can be done. Ratios are comparable between machines; absolute figures are not. Processor time
// is read from the kernel, so the command needs Linux.
//
//	rows_*.go          one function per row
//	fixture_linux.go   a server and its fleet
//	core_linux.go      the engine only; large_fleet_linux.go grows its fleet to a million machines
//	cluster_linux.go   several servers on one log in PostgreSQL, and a fleet in several processes
//	plain_linux.go     plain SQLite, to compare the log with; fold_linux.go runs the memory benchmarks of the engine
//	page_linux.go      tables, and the page that they are written to
//	fleet              ten thousand agents in one process
//	baseline           the baseline servers
//	process            servers as processes, and their resource use
//	swarmkit           Docker Swarm's orchestrator on the same work; a separate module
package main
