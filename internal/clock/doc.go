// Package clock provides the time and waits for it to pass. It is the only source of the time for the program, so that
// tests can replace it.
package clock
