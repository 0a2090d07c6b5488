// Package process runs drover servers as separate processes and reads their resource use from the kernel.
//
//	drover.go       a real drover server: start, restart, kill, its client and its metrics
//	usage_linux.go  processor time, memory, files and written bytes of any process
package process
