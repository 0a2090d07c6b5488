// Package docs tests the documentation: README.md, CONTRIBUTING.md, SECURITY.md and all pages in docs. It contains only
// tests.
//
//	page_test.go        parses pages; checks YAML, JSON and links
//	run_test.go         runs the command blocks
//	commands_test.go    checks command lines that are not run, and make targets
//	reference_test.go   compares the tables of the reference with the code
//	checklists_test.go  checks the steps of CONTRIBUTING.md
//
// # Command blocks
//
// The language of a fence determines how a block is tested. The blocks of a page run from top to bottom in one shell
// (bash, set -eu), in a temporary folder with an empty home. drover is on the PATH, ticks take one second, and a free
// port replaces 127.0.0.1:7070. The folder contains examples and testdata of the checkout. At the end of the page, all
// started processes are stopped.
//
//	```sh      is run and must exit with code 0
//	```text    after it: expected output lines, in this order, possibly with others between. … matches anything, and
//	           white space matches any other white space
//	```yaml    is parsed; with an apiVersion it is read like a file of `drover apply`
//	```json    is parsed
//	```        is not tested: drawings, forms
//
// A comment directly above a block changes how it is tested:
//
//	<!-- file: NAME -->       the block is written to this file in the folder of the page
//	<!-- more of: NAME -->    the block is appended to that file after a blank line
//	<!-- again: WHY -->       the block only queries: it is repeated until its output matches
//	<!-- exits: N -->         the block exits with another code
//	<!-- not run: REASON -->  the block cannot be run here; its syntax and drover command lines are checked
//	<!-- before: …            commands that a reader has run before: the further lines of the comment are run;
//	                          it needs no block
//
// The examples in docs/reference/commands.md, which is generated from the help texts, are parsed but not run. All
// other blocks that are not run are listed in testdata/not-run.txt, so that changes are noticed (-rewrite updates
// it). The tests also check the verb and flags of each drover command line, in blocks and in sentences, and follow
// each link to a file.
//
// # Field lists
//
// The pages in docs/reference list fields, events and reasons in tables. The tests compare them with the code: the keys
// that the file reader accepts, the JSON of events, the constants of reasons. A test fails if a line is missing, or if
// a line describes something that does not exist.
package docs
