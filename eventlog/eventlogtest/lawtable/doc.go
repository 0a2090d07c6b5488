// Command lawtable turns the results of the laws of the log (see package eventlogtest) into a Markdown table: one row
// for each law, one column for each backend.
//
//	go test ./eventlog/... -run '^TestBackend' -count=1 -json | go run ./eventlog/eventlogtest/lawtable
//
// It expects the subtest names of eventlogtest.Exercise: TestBackend.../BACKEND/LAW. It exits with an error if a law
// is broken or no law was run, so that an incomplete table is not mistaken for a complete one.
package main
