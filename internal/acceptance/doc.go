// Package acceptance tests drover as users run it: the real binary, real agents and real signals, controlled only by
// the command line. It has few tests; they take up to a minute.
package acceptance
