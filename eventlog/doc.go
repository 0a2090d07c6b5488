// Package eventlog defines the contract for storing events: one append-only log (Log), a store of items beside the log
// that are not events (Store), and the rules that every backend shares. Each backend is a package below this one:
// memory, sqlite, postgres and eventstoredb. The package is independent of machines and deployments.
//
//	log.go         Log, and the event before and after it is stored
//	store.go       Store: items in collections, beside the log
//	error.go       the errors that every backend returns
//	check.go       limits and validation of an append
//	canonical.go   the canonical form of an event's data
//	checksum.go    the checksum that is stored with each event
//	repeat.go      how an append or a swap that was sent twice is recognized
//	collection.go  the collections: properties, operations, keys, validation
//	paging.go      how backends read events and items in pages
//	verify.go      checks of a whole log or of its end
//	seen.go        whether a log still has an event that was read from it
//	archive.go     export to a file and import from it; items are not included
//	import.go      import while servers are locked out
//
// # Streams and positions
//
// A log consists of streams. Each event has a Revision in its stream: 0, 1, 2, and so on. It also has a Position in the
// log. Positions increase strictly over all streams, but may have gaps. Once a reader has seen position p, no new event
// ever appears at or below p, so reading after the last position that was seen misses nothing.
//
// # Appending
//
// A writer appends at the revision at which it expects the stream to end, or at NoStream. If the stream ends at another
// revision, Append stores nothing and returns *Conflict with the actual revision. If many writers append at the same
// revision, exactly one succeeds. An append is atomic: all its events are stored, or none.
//
// # Idempotency
//
// The ids of the events are the idempotency key. An append with the same ids at the same expected revision is a repeat:
// it returns the first result and stores nothing. A writer that receives ErrUnknownOutcome therefore sends the same
// append again, with the same ids at the same revision.
//
// # Errors
//
// Every backend returns the errors of error.go, wrapped with details. After *Conflict, a writer decides again. After
// ErrUnknownOutcome, it sends the same append again. After ErrUnavailable or ErrFull, it can retry later. ErrInvalid
// and ErrTooLarge are mistakes of the caller. ErrDamaged and ErrForeign require an operator.
//
// # Durability
//
// An acknowledged event survives kill -9 and power loss, and so does an item of a durable collection. If N swaps expect
// the same item, exactly one succeeds. Only the memory backend is not durable.
//
// Package eventlogtest tests this contract, and every backend passes its tests.
package eventlog
