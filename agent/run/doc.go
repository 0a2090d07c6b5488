// Package run executes one part on its machine: the steps of a release, in order, each as a shell script in its own
// process group.
//
// The package determines what a step has access to (environment, working folder, secrets), when the step is over, and
// how the part ended. It uses /bin/sh, and /proc to find processes that a step left running. Without /proc it can
// signal only the process group.
//
// It guarantees that
//
//   - no line of a script runs before Part.Starting has returned without an error. A caller that records the process
//     group there can later end the processes that a crash left behind (Group.ClearOrphans). ClearOrphans never signals
//     a process that might not belong to the group.
//   - when a step is over, no process of its session is running: run sends SIGTERM, waits for a short grace period, and
//     sends SIGKILL. Only a process that left the session with setsid(2), such as a service, keeps running. It cannot
//     delay the part by keeping the output pipe open. A process that the script started just before its end has time to
//     leave: run waits until all processes of the session are asleep, for at most five seconds.
//   - no value of a secret appears in the output or in the result.
//
// A script that begins with "#!" is executed directly. Any other script runs with "/bin/sh -e", so that the first
// command that fails ends the step. Standard input is empty. Standard output and standard error are one stream.
//
//	part.go          Part: the steps in order, with retries, and the end of the part
//	script.go        Script: one script behind the start barrier, until it exits or times out
//	group*.go        Group: the processes of a script, on Linux and elsewhere
//	kill.go          a person's request to stop a part
//	own_agent.go     a step that waits for the end of its own agent
//	reap.go          the children of this process, and orphans that process 1 inherits
//	environment.go   the environment of the steps
//	home.go          the HOME of the steps
//	secrets.go       the secrets file and what is masked
//	secret_command.go a command that prints a secret
//	line.go          text for reports
package run
