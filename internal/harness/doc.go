// Package harness runs drover as real processes: servers, agents and single commands. The demo, the benchmarks and
// all tests that need processes use it.
//
//	host.go     Host: a program with a folder and an environment; it starts processes and runs commands
//	process.go  Process: a started process; its signals, its end and the end of its log
//	launch.go   starts a process so that it cannot outlive this program
//	drover.go   the command lines of a server and of an agent, and the readiness check
//	build.go    builds drover from this module
//
// Package harnesstest adds cleanup for tests, and failure messages that contain the logs.
//
// # Guarantees
//
// A process ends with the Host that started it: Close kills running processes, and Start fails afterwards. Each
// process leads its own process group, so an interrupt from the terminal does not reach it, and a signal to it
// reaches its children in that group. On Linux the kernel kills it when this program dies for any reason. On other
// systems a process survives a program that was killed.
//
// Environment removes the settings of the user, so that the processes do not use the user's servers and files.
//
// The package never sleeps for a fixed time. Await polls a condition with a time limit and fails as soon as the process
// ends. Its error names the process and contains the end of its log.
//
// The package does not import testing, because it is part of the shipped program.
package harness
