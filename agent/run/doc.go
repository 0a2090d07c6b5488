// Package run carries out one part on its machine: the steps of a release, in their order,
// each as a shell script in a process group of its own.
//
// It decides what a step sees (environment, working folder, secrets), when it is over and
// how the part ended. It relies on /bin/sh and, to find what a step has left running, on
// /proc; where there is no /proc it reaches the process group alone.
//
// It promises that
//
//   - not one line of a script runs before the caller has been told its process group
//     (Part.Starting) and has agreed: a caller that writes it down first can find the
//     orphans of its own crash (Group.ClearOrphans) without ever touching a process that
//     is not surely its own;
//   - when a step is over, whatever the way, nothing of its session is running: SIGTERM,
//     a short grace, SIGKILL. Only what left the session by setsid(2), and so became a
//     service of its own, stays; it cannot hold up the part by keeping its output open;
//   - no value of a secret gets into the output or the result.
//
// A script is run by "/bin/sh -e", so the first command that fails ends the step, unless
// it begins with "#!". It gets no input. Standard output and error are one stream.
package run
