// Package cli implements drover's command line: commands and flags, output, error messages and exit codes.
//
//	program.go       Run, and the tree of commands
//	verb.go          what all commands share: help, examples, arguments
//	exits.go         exit codes and their meaning for each command
//	exit.go          conversion of errors to messages and exit codes
//	connect.go       choice of servers and token, HTTP client
//	write.go         requests to a server, with one idempotency key for each write
//	print.go         output as JSON, YAML and text
//	list.go          lists in every format, page by page
//	screen.go        tables, colours and escaping on a terminal
//	kinds.go         the kinds of get, describe and delete
//	columns.go       the table of each kind
//	watch.go         --watch
//	wait.go          --wait; progress.go, status_line.go and next_steps.go hold what it prints
//	completion.go    shell completion
//	manual.go        man pages and the command reference of the docs
//	doctor_here.go   the checks of drover doctor that run on this machine
//	archive.go       drover eventlog export and import; verify.go, backup.go and log.go hold its other subcommands
//	*.go             one file for each other command
//
// # Guarantees
//
// Results go to stdout and messages to stderr, so that stdout can be piped. A list is a table on a terminal and has
// tab-separated cells in a pipe. With -o json or jsonl, an error is one JSON object on stderr. Every write carries one
// idempotency key and is sent again with this key if no answer arrives. A lost answer therefore does not repeat a
// command.
package cli
