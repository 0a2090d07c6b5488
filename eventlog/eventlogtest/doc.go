// Package eventlogtest tests the contract of package eventlog. Exercise runs the conformance tests, which every backend
// passes. Each test is called a law: its name states one guarantee of the contract as a sentence.
//
//	exercise.go   Exercise, the backend under test, and helpers
//	append.go     positions, revisions and data of appended events
//	repeat.go     repeated appends
//	concurrent.go concurrent writers and readers
//	read.go       reads, limits and resuming
//	invalid.go    limits and invalid appends
//	lifecycle.go  contexts, closing and reopening
//	lossy.go      leases and output
//	durable.go    items of durable collections
//	store.go      operations and keys of all collections
//	control.go    negative controls: one law on a broken backend
//
// A backend provides a function that opens an empty log. It can also provide functions that reopen a closed log and
// that open a second handle to an open log, as another server does. Backends that pass behave alike, including their
// checksums. Behaviour that not every backend supports (kill -9, power loss, full disks) is tested in the package of
// the backend.
//
// The command lawtable prints the results of all backends as a table for the documentation.
package eventlogtest
