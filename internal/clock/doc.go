// Package clock reads the wall clock and the monotonic clock of the machine, and waits for time to pass.
package clock
