// Command lawtable turns the results of the laws of the log into a table in Markdown:
// a row for each law, a column for each backend.
//
//	go test ./eventlog/... -run '^TestBackend' -count=1 -json | go run ./eventlog/eventlogtest/lawtable
//
// It relies on the names that eventlogtest.Exercise gives its subtests, which are
// TestBackend.../BACKEND/LAW. It ends with an error if any law was broken or none was
// found, so that a table is never empty or false without notice.
package main
