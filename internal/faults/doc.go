// Package faults tests drover on bad days, with real processes: three servers on one PostgreSQL, thirty agents,
// and between all of them lines that can be cut.
//
//	wire_test.go        one line between two programs: cut, half-open, slow, deaf in one direction
//	supervised_test.go  one process, started again as by a service manager
//	cluster_test.go     servers, agents, PostgreSQL and the lines between them
//	load_test.go        what people do meanwhile, each answer written down
//	fault_test.go       what goes wrong, and how it is undone
//	check_test.go       what must hold afterwards
//	storm_test.go       the run: load and faults by a seed, then the checks and the figures
//	control_test.go     what must not hold is found: a step that ran twice, an event that the database forgot
//	history_test.go     clients that append to the log directly: are their histories linearizable?
//	failover_test.go    how long the machines of a killed server wait for their next deployment
//	full_test.go        a database without room, and with room again
//	daily_test.go       several servers on good days: moving over, reading one's writes, streams, upgrades
//
// # What it relies on
//
// The servers are a build of their own (-tags failpoints) that can end themselves at named points and whose wall
// clocks can be wrong; see internal/server/hooks.go. Agents are the program as people run it. What ran on the machines is
// known from the lines that the steps themselves append to a file.
//
// # What it promises
//
// Each number that should be zero has a test in which it is not.
//
//	make faults SEED=7 TIME=10m
package faults
