// Package process runs what is measured as a process of its own, and reads off the kernel what it costs.
//
//	drover.go  a real drover server: start, restart, kill, its client and its metrics
//	usage.go   processor time, memory, files and written bytes of any process
package process
