// Package demo implements `drover demo`: a small fleet on one computer, and a script that acts on it and verifies every
// statement that it prints.
//
//	demo.go    Run: start the fleet, run the script, keep the fleet up, clean up
//	script.go  the sections of the script: its actions, and its statements about them
//	expect.go  the evidence for a statement: answers of the API, and the files that steps wrote
//	until.go   waiting for a condition; a statement that does not hold ends the demo
//	fleet.go   the folder of the demo, its server and its agents
//	stay.go    hints for exploring the fleet, which stays up until the user stops it
//
// The demo is real: server, agents and commands are this program, started as processes that communicate over loopback,
// with a log in SQLite. The script runs each command exactly as it prints it.
//
// # What it promises
//
// If a statement of the script does not hold, the demo ends with an error that names what was expected and what was
// observed. The demo reads and changes none of the user's files: all of its files are in one temporary folder, which is
// also the home of all its programs and is removed at the end. No context, config file or DROVER_ variable of the user
// reaches these programs.
//
// Server and agents are processes of package harness. The demo stops them when it ends, when it receives a signal, and
// when its terminal closes. On Linux, the kernel stops them even if the demo is killed with SIGKILL. On other systems,
// they continue to run in that case. The folder then remains on every system.
package demo
