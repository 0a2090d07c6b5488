// Package harnesstest runs drover as real processes in tests, on top of package harness.
//
//	program.go  Program: drover, built once for the tests of a package
//	host.go     Host: a harness.Host that fails its test instead of returning errors, and cleans up after it
//
// A test package that runs the program needs a TestMain that calls Run.
//
// The package imports internal/cli, and with it all that the program is made of. Without that, go test would take the
// result of a test that ran an older program from its cache.
package harnesstest
