// Package acceptance runs drover as its users do: the real binary, real agents and real signals, nothing
// but the command line. Its tests are slow for tests (under a minute) and few.
package acceptance
