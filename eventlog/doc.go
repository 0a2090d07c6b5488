// Package eventlog says where events are kept: the contract of one append-only log,
// the small store for what is ephemeral beside it, and what every backend shares
// (limits, checksums, the rule of repeats).
//
// The package knows nothing of machines. Its laws are written down as the tests of
// package eventlogtest, and every backend passes all of them:
//
//   - revisions of a stream are consecutive from 0; positions rise strictly;
//   - all events of one append are there or none;
//   - a wrong expected revision is refused with the actual one;
//   - of N racers at one revision exactly one wins;
//   - once a reader has seen position p, no new event ever appears at or below p;
//   - the same ids at the same expected revision are answered with the first result;
//   - an acknowledged event survives kill -9 and power loss.
package eventlog
