// The bench command measures drover against its budgets, one row of the table in docs/performance at a time.
//
//	go run ./bench burst          # one row
//	go run ./bench -short all     # the short form of every row, under five minutes (make bench)
//	go run ./bench all            # the whole (make bench-long)
//
// Each row prints a table and writes it into docs/performance/measurements.md with the machine, the commit and the command. What is
// measured runs as a real process with a durable log; beside it, in the same run, stands the floor: the least work
// that the same job needs. Ratios carry over to other machines, absolute figures do not. Processor time is read off
// the kernel (Linux).
//
//	rows_*.go   one function a row
//	stage_*.go  a server and its fleet, ready to be measured
//	core.go     the engine alone; crowd.go grows a fleet of it to a million machines
//	cluster.go  several servers on one log in PostgreSQL, and a fleet that several processes hold
//	plain.go    plain SQLite, beside the log; fold.go what the engine's own benchmarks say of memory
//	page.go     tables, and their place in the page
//	fleet       ten thousand agents in one process
//	floor       the floor
//	process     servers as processes, and what they cost
//	swarmkit    a peer on the same work; a module of its own
package main
