// Package postgrestest starts a PostgreSQL server for tests, in a temporary folder, and
// does to it what bad days do: stops it, kills it, follows it with a replica.
//
// It relies on the server's programs (initdb, postgres), which it finds on PATH or where
// Debian, Red Hat and Homebrew put them; without them a test is skipped and says so, or
// fails where DROVER_TEST_REQUIRE is "all". PostgreSQL refuses to run as root, so for root
// it runs as the user postgres.
//
// It promises that no server outlives its tests: each hangs on a pipe from the test's
// process and stops when that process ends, however it ends.
package postgrestest
