// Command mutants measures what the tests of the packages that decide would miss. It makes one small change to the code
// at a time, a mutant, and runs the tests. A mutant that no test notices has survived: the code is unnecessary, the
// change has no effect, or a test is missing.
//
//	go run ./internal/mutants -packages rollout,policies
//
//	main.go       flags and the order of a run
//	load.go       the source files of a package with their types
//	find.go       which mutants a file has
//	operators.go  the changes to conditions, statements, tables, switches and constants
//	edits.go      inserts all mutants of a file into its text
//	switches.go   the functions that mutated code calls; switches.txt is their source
//	build.go      builds the test programs with all mutants
//	suites.go     the test programs and how they are run
//	measure.go    which tests reach which mutants
//	run.go        runs the tests for each mutant
//	accepted.go   the mutants that survive for a reason, from accepted.txt
//	report.go     the table and the list of survivors
//
// # How it works
//
// All mutants are compiled at once. Each is an expression or a statement that asks whether it is the active mutant, and
// behaves like the original code otherwise. The environment variable DROVER_MUTANT activates one. Test programs are
// therefore built once, and a mutant costs only the time of its tests. The compiler reads the changed files from an
// overlay, so the tree is never changed. Mutants that do not compile are left out.
//
// The tests first run without a mutant, to find which mutants each test reaches. A mutant counts as reached only where it
// makes a difference, if that can be seen at once: <= differs from < only for equal operands. For each mutant, the tests
// that reach it run in the order of their duration, until one fails. A test that takes much longer than without a mutant
// is stopped, and counts as failed.
//
// # What it changes
//
// A condition becomes always true or always false; an operand of && or || is left out; && becomes || and the reverse; <
// becomes <= and the reverse; + becomes - and the reverse; min becomes max and the reverse. A statement is removed. A
// result or a field of a literal becomes its zero value. A case of a switch is removed. A row of a slice literal is
// removed; two neighbours in a table of the package change places. A number becomes one more or one less, a duration
// twice or half as long. A condition is not negated: tests that notice both constants notice the negation too.
package main
