// Package domain says what happened and what may be wished: the events that the log holds, the
// commands that lead to them, and the rules by which one stream's facts decide about its next.
// It has no clock, no I/O, no randomness and no context; nothing here can fail for a reason
// that is not in its arguments.
//
// # The map
//
//	events_*.go   every fact, with the JSON it has on disk     codec.go     its hand-written name and version
//	plain.go      how the data of most facts is read without encoding/json
//	machine.go    a machine: settings, session, health         category.go  what triggers name, groups, signs
//	project.go    a project: triggers, releases, standings     scope.go     which machines are a project's
//	deploy.go     a person's deployment, rollback, retry,      part.go      one machine's share: claim and end
//	              cancel, pin, hold                            settings.go  what people write, and its bounds
//	others.go     environments, policies, tokens               command.go   Command, and the World it may ask
//
// # How a fact comes about
//
// A Command names one stream and decides, from the World at one position, which events to append
// there. The engine appends them at the revision that the World was folded to, so of two wishes
// that do not fit together one is refused by the log and decided again. A Rejection is an answer
// and no event. Each aggregate (Machine, Project, Token) has Evolve, the other half: it folds the
// facts of its own stream. What follows from several streams together (parts, holds, what is
// wanted and actual, candidates) is folded by package projections.
//
// # Promises
//
// A type name once written decodes for ever: testdata holds one sample of each type and version.
// Equal inputs give equal events, byte for byte: sets are sorted, and nothing reads a clock.
package domain
