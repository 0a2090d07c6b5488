// Package domain holds the events that the log records, the commands that lead to them, and the rules by which the facts of
// one stream decide about its next. It has no clock, no I/O, no randomness and no context: nothing here fails for a reason
// that is not in its arguments.
//
//	events_*.go  every event, with the JSON it has in the log
//	codec.go     one row an event: its hand-written name and version, its category, its words
//	describe*.go what an event says to people: subject, a few words, a sentence
//	plain.go     how the data of most events is read without encoding/json
//	command.go   Command, the names of commands, and what their ids derive from; world.go is what a command may ask
//	origin.go    who asked for something: the text `by` and the actor
//	machine.go   a machine: settings, session, health        category.go  what triggers name; groups and signs
//	project.go   a project: triggers, releases, standings    scope.go     which machines are a project's
//	deploy.go    deployments, rollback, retry, pins, holds   part.go      one machine's share: claim and end
//	others.go    environments, policies, tokens, the log     settings.go  what people write, and its bounds
//	names.go     names of streams, and what a name may be    reasons.go   why a part cannot start, or how it ended
//	decision.go  what a server decides by itself             rejection.go why a command was refused
//	id.go, text.go  ids, and text within bounds
//
// # How an event comes about
//
// A Command names one stream and decides, from the World at one position, which events to append there. The engine appends
// them at the revision that the World was folded to. Of two commands that contradict each other the log refuses one, which
// is decided again. A Rejection is an answer and no event. Each aggregate (Machine, Project, Token) has Evolve, which folds
// the events of its own stream. What follows from several streams together (parts, holds, what is wanted and actual,
// candidates) is folded by package projections.
//
// # What it promises
//
// An event type that was written once is read by every later version: testdata holds fixtures of each type and version.
// Equal inputs give equal events, byte for byte: sets are sorted, and nothing reads a clock. The id of a command does not
// depend on the names of Go types or the order of their fields.
package domain
