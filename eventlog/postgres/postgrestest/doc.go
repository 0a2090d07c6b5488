// Package postgrestest runs PostgreSQL servers for tests in temporary folders. A test can stop and kill a server,
// restart it, and start a replica.
//
// It needs the programs initdb and postgres, on PATH or in the usual folders of Debian, Red Hat and Homebrew. Without
// them a test is skipped, or fails if DROVER_TEST_REQUIRE is "all". PostgreSQL refuses to run as root, so tests that
// run as root start it as the user postgres.
//
// No server outlives its tests: a guard process stops the server when the test process ends, even if it is killed.
package postgrestest
