// Package built makes the real drover for tests that run it as a process. Nothing that ships imports it.
//
// It imports what the program is made of: without that the result of a test that ran an older program would be taken from
// the cache for today's.
package built
