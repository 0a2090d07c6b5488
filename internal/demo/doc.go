// Package demo is `drover demo`: a small fleet on one computer, and a story about it that is checked
// while it is told.
//
//	demo.go      Run: the fleet comes up, the story is told, the fleet stays up, all is taken away
//	story.go     the chapters: what is done, and the sentences about it
//	expect.go    what is looked at: the API, and what the steps themselves wrote
//	until.go     waiting for a condition; a sentence that is not so ends the demo
//	fleet.go     the folder of the demo, its server and its agents
//	stay.go      how to look around, and what happens until somebody has seen enough
//
// What it shows is real: server, agents and commands are this very program, started as processes, over
// loopback, with a log in SQLite. A command in the story was run just as it is shown.
//
// # What it promises
//
// A sentence of the story that is not so ends the demo with an error that says what was expected and what
// was seen. Nothing of the user's is read or changed: all files are in one temporary folder, which is
// the home of all its programs too and is removed at the end, and no context, config file or DROVER_ variable
// of the user reaches them. Server and agents are processes of package harness. When the demo ends, by itself, by a signal or with its terminal, it stops
// what it started. On Linux the kernel does so even if the demo is killed (kill -9); elsewhere server
// and agents go on then, and the folder stays on every system.
package demo
