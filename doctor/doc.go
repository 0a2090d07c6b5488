// Package doctor examines a server, its log, the fleet and the local machine for `drover doctor`. Each finding has a
// severity, one sentence that states the observation, and a command that fixes it. Every function is pure: it depends
// on a view, on the vitals that the caller collected, and on times that the caller passes in.
//
//	doctor.go  Finding, Vitals and the table; Examine: the checks of a server, its log and its peers
//	tokens.go  tokens that expire soon, unlimited join tokens, the last admin token
//	fleet.go   dangling references, machines that have been behind for a long time, forgotten pins and holds
//	conditions.go  what agents report about their machines
//	reach.go   releases that no machine can take, machines that have been offline for a long time
//	local.go   the machine that runs the command: connections, certificates, files, disk, clock
//
// Package explain writes the sentences about verdicts. It does not import this package.
package doctor
