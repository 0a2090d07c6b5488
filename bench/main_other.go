//go:build !linux

package main

import (
	"fmt"
	"os"
)

func main() {
	fmt.Fprintln(os.Stderr, "the figures are read off a Linux kernel; on this system `make gobench` runs the benchmarks of Go alone")
	os.Exit(1)
}
