// Package cli is drover's command line: what people and scripts type, what they read, and with which
// code the program ends.
//
//	program.go  Run: the tree of commands, from arguments to an exit code
//	exits.go    the exit codes, and what each means for a command
//	exit.go     how an error becomes a code, and how it is told
//	verb.go     what all commands share: help with an example, arguments, flags from elsewhere
//	connect.go  which server is asked, with which token
//	write.go    one wish under one key, sent again where no server answered
//	print.go    json, yaml and what else goes to stdout
//	list.go     a list of any length, in each format, page by page
//	screen.go   what a terminal gets: tables that fit it, colour, nothing that it would obey
//	completion.go  names for a shell that completes them: words, and what the server knows
//	manual.go   man pages, and the command reference in docs
//	kinds.go    the kinds of `get`, `describe` and `delete`
//	watch.go    -w: shown again whenever it changes
//	*.go        one file for each verb
//
// # What it promises
//
// What was asked for goes to stdout, words go to stderr, so that stdout can always be piped. A table
// is drawn on a terminal; in a pipe the same cells are separated by tabs. With -o json an error is one
// JSON object on stderr. Every write carries one Idempotency-Key, under which it is sent again when
// nobody answered, so that a lost answer never does a thing twice.
package cli
