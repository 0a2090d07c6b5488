//go:build unix

package engine_test

import (
	"syscall"
	"testing"
	"time"
)

// cpu returns the CPU time that this process has used, in user and system mode.
func cpu(b *testing.B) time.Duration {
	var used syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &used); err != nil {
		b.Fatal(err)
	}
	return time.Duration(used.Utime.Nano() + used.Stime.Nano())
}
