// Package faults tests drover under faults, with real processes: three servers on one PostgreSQL, thirty agents, and
// proxies between all of them that can interrupt the network.
//
//	proxy_test.go       a TCP proxy between two programs: refuse, stall, delay, drop one direction
//	supervised_test.go  a process that is restarted as by a service manager
//	cluster_test.go     servers, agents, PostgreSQL and the proxies between them
//	load_test.go        users that send commands, and a record of each answer
//	fault_test.go       the faults, and how each is undone
//	check_test.go       the invariants that must hold afterwards
//	false_offline_test.go  counts the machines that were called offline although their agents could reach the servers
//	chaos_test.go       the run: load and faults from a seed, then the checks and the figures
//	control_test.go     negative controls: the checks find a step that ran twice and a lost event
//	history_test.go     clients that append to the log directly, and a check that their histories are linearizable
//	failover_test.go    how long the machines of a killed server wait for their next deployment
//	outage_test.go      a log that hangs, and servers that are cut off from it
//	full_test.go        a database whose disk is full, until space is freed
//	contention_test.go  clients that write to one project through one server or several
//	joins_test.go       agents that join over plain HTTP at the same moment
//	roundrobin_test.go  plain HTTP agents behind a proxy that sends each request to another server
//	haproxy_test.go     the shipped configuration of HAProxy
//	daily_test.go       several servers in normal operation: failover of agents, read your writes, streams, upgrades
//
// # Requirements
//
// The servers are built with -tags failpoints: they can end themselves at named points, and their wall clocks can be
// wrong; see internal/server/hooks.go. Agents run the released program. The steps append lines to a file, which shows
// what ran on the machines.
//
// # Guarantees
//
// For each number that the checks require to be zero, a negative control shows that the check can find a violation.
//
//	make faults SEED=7 TIME=10m
package faults
