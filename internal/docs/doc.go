// Package docs holds the tests of the pages that people read: README.md, CONTRIBUTING.md, SECURITY.md and all below docs.
// There is no code in it.
//
// # Command blocks
//
// A fence says what stands in it. The blocks of one page are run from top to bottom in one shell (bash, set -eu), in a folder
// of its own with an empty home, the real drover on the PATH, ticks of one second, and a free port in the place of
// 127.0.0.1:7070; examples and testdata of the checkout are in the folder. What a block starts is stopped at the page's end.
//
//	```sh      is run, and must end with exit code 0
//	```text    after it: lines that it prints, in this order; others may come between. … stands for anything,
//	           and any white space for any other
//	```yaml    is parsed; with an apiVersion it is read as `drover apply` reads it
//	```json    is parsed
//	```        is looked at by nobody: drawings, forms
//
// A comment right above a block says how it is meant; above a block it is the only thing that is not shown to readers:
//
//	<!-- file: NAME -->       the block is put into this file in the page's folder
//	<!-- more of: NAME -->    the block is put to the end of it, after a blank line
//	<!-- again: WHY -->       the block only asks: it is run until it prints what follows
//	<!-- exits: N -->         the block ends with another exit code
//	<!-- not run: REASON -->  the block cannot be run here; its shell and its drover command lines are still parsed
//	<!-- before: …            what a reader has done when coming to this page or place: the comment's further lines are
//	                          run; no block belongs to it
//
// The examples of docs/reference/commands.md, which is generated from the helps, are parsed and not run.
// What else is not run is listed in testdata/not-run.txt, so that a change of it is seen (-rewrite writes it). A test also takes
// each drover command line, in blocks and in sentences, to the real command line for its verb and flags, and follows each link to a file.
//
// # Field lists
//
// The pages below docs/reference list fields, events and reasons in tables. The tests compare these with the code: what the reader
// of files takes, the events' JSON, the constants of reasons. A new one without its line fails, and so does a line without the thing.
package docs
