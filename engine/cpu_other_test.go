//go:build !unix

package engine_test

import (
	"testing"
	"time"
)

// cpu skips the benchmark, because this platform does not report the CPU time of a process.
func cpu(b *testing.B) time.Duration {
	b.Skip("this platform does not report the CPU time of a process")
	return 0
}
