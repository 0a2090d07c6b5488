// Package harnesstest runs drover as real processes in tests. It builds on package harness.
//
//	program.go  Program: drover, built once for the tests of a package
//	host.go     Host: a harness.Host that fails its test instead of returning errors, and cleans up after it
//
// A test package that runs the program needs a TestMain that calls Run.
//
// The package imports internal/cli, and thereby all packages of the program. Otherwise go test could use a cached
// result of a test that ran an older program.
package harnesstest
