// Package harness runs drover as real processes: servers, agents and single commands. The demo, the benchmarks and
// the tests that need processes all start them here.
//
//	host.go     Host: a program with a folder and an environment; it starts processes and runs commands
//	process.go  Process: one that was started; its signals, its end and the end of its log
//	launch.go   starting a process so that it cannot outlive this one
//	drover.go   the command lines of a server and of an agent, and whether a server is ready
//	build.go    building the program from this module
//
// Package harnesstest adds what tests need: cleanup, and failures that show the logs.
//
// # What it promises
//
// A process that was started through a Host ends with it: Close kills what still runs, and nothing starts
// afterwards. Each process leads a process group of its own, so an interrupt typed at the terminal does not reach it
// and a signal to it reaches its children in that group. On Linux the kernel kills it when this program dies, however
// it dies. On other systems a process outlives a program that was killed.
//
// Environment leaves out the settings of the user, so the processes find none of the user's servers and files.
//
// Nothing here sleeps for a fixed time: Await polls a condition, is bounded, and gives up as soon as the process
// has ended. Its error names the process and shows the end of the log.
//
// The package does not import testing, because the shipped program contains it.
package harness
