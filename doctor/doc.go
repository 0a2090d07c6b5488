// Package doctor judges a server, its log, the fleet and a client's machine: what `drover doctor` prints. Each finding
// has a severity, one sentence on what was seen, and a command that fixes it. Everything is a pure function of a view,
// of the vitals that the caller collected, and of times that it passes in.
//
//	doctor.go  Examine: the checks of a server, its log, its peers and its tokens; Finding, Vitals and the table
//	fleet.go   dangling references, machines that are behind for long, forgotten pins and holds
//	reach.go   releases that no machine can take, machines that are offline for long
//	here.go    the machine on which the command runs: servers, certificates, files, disk, clock
//
// Sentences about verdicts come from package explain, which knows nothing of this package.
package doctor
