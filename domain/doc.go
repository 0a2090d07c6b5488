// Package domain defines the events in the log, the commands that produce them, and the rules that convert commands to
// events. It is pure: it uses no clock, no I/O, no randomness and no context. Every result depends only on the
// arguments.
//
//	events_*.go         the event types and their JSON
//	codec.go            the table of event types; Encode and Decode
//	decode_fast.go      decodes most events without encoding/json
//	category.go         the categories of machine events, which triggers react to
//	describe.go         describes events for people; describe_events.go has the text of each type
//	command.go          Command, and the table of commands
//	world.go            World, the state that commands read
//	rejection.go        Rejection, the answer to an invalid command
//	origin.go           the origin of a command: the text `by` and the actor
//	decision.go         Decision, the events that a server decides by itself
//	machine.go          machines: settings, sessions, health
//	conditions.go       what agents report about their machines, such as a full disk
//	project.go          projects: triggers, releases, deployments by environment
//	project_commands.go commands for projects, triggers and releases
//	release_details.go  what a release has beside the copy of its project
//	retire.go           commands that retire and restore releases
//	deploy.go           commands for deployments, rollbacks, retries, pins and holds
//	repair.go           the command that retries the failed or skipped machines of a deployment
//	part.go             commands of agents: claim a part, report its end
//	reasons.go          the reasons why a part ended or cannot start
//	verb.go             Verb, Permission and Need: what callers can do
//	may.go              May: whether an actor may do something, and because of what
//	needs.go            what each command needs
//	access.go           Access resources, which grant permissions
//	scope.go            InScope: which machines belong to a project
//	environment.go      environments
//	policy.go           machine policies
//	token.go            tokens
//	watch.go            commands on the watch stream: clear a stream, accept a restored log
//	settings.go         the settings that people write, their defaults and limits
//	names.go            names of streams, and the check of names
//	id.go, text.go      ids, durations and text helpers
//
// # From command to event
//
// A Command belongs to one stream. Its method Decide reads the World, which is the log folded to one position, and
// returns the events to append to that stream. The engine appends them at the revision that the stream has in the
// World. If two commands compete, one append fails with a conflict, and the engine calls Decide again with a newer
// World. A Rejection is returned to the caller and is not an event.
//
// Each aggregate (Machine, Project, Token) has a method Evolve, which folds the events of its stream. Package
// projections folds the state that depends on several streams: parts, holds, wanted and actual releases, and
// candidates.
//
// # Guarantees
//
// Every version of drover can read the events of all earlier versions. The fixtures in testdata cover each event type
// and version. Equal inputs produce equal events, byte for byte. The id of a command does not depend on the names of Go
// types or on the order of struct fields.
package domain
