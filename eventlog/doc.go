// Package eventlog says where events are kept: the contract of one append-only log (Log),
// that of what is stored beside it and is no event (Store), and what every backend shares
// (limits, checksums, the rule of repeats).
//
//	log.go         the log and its events
//	store.go       items in collections, beside the log
//	collection.go  what each collection is like: the table, the checks, the keys
//	repeat.go      when an append or a Swap is a repeat of one that was done
//	archive.go     all events of a log in a file, and back; items are not in it
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
//   - an acknowledged event, and an item of a durable collection, survives kill -9 and power
//     loss;
//   - of N swaps that expect the same item exactly one succeeds.
package eventlog
