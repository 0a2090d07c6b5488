// Package eventlogtest writes the laws of the log down as tests, which every backend
// passes: Exercise runs them, and the name of each is the law in plain words.
//
// It relies on a way to open an empty log, and where a backend has them, on ways to open
// the same log again after it was closed and to reach it a second time while it is open,
// as another server does. It promises that a backend which passes behaves as the others
// do, down to the checksum; what it cannot ask of all (kill -9, power loss, full disks)
// is tested beside the backend.
//
// The program in lawtable turns the results of all backends into the table of the docs.
package eventlogtest
