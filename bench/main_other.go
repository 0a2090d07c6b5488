//go:build !linux

package main

import (
	"fmt"
	"os"
)

func main() {
	fmt.Fprintln(os.Stderr, "bench: the measurements need Linux; on this system use the Go benchmarks (`make gobench`)")
	os.Exit(1)
}
