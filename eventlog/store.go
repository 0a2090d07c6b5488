package eventlog

import (
	"context"
	"iter"
	"time"
)

// Item is one thing that is stored beside the log.
type Item struct {
	// Key says whose item it is: a server's id, DEPLOYMENT/MACHINE, the name of a consumer. A key may outlive its items
	// in a backend, as the name of a stream or in its own log, so it must be an id and never personal data.
	Key string
	// Sequence is the item's place among those of its key. The writer chooses it, from 1.
	Sequence int64
	// Time is the wall clock of the server that stored the item. It is stored in UTC, cut to microseconds.
	Time time.Time
	// Data is the item's value, of bytes that no backend looks into.
	Data []byte
}

// Collection names a kind of items. The collections of this package are all there are; collection.go says what each is.
type Collection string

const (
	// Leases hold a sign of life of each server, by its id. Only presence reads them.
	Leases Collection = "leases"
	// Output holds what the steps of deployments printed, by deployment and machine, see OutputKey. Nothing that is
	// decided reads it.
	Output Collection = "output"
	// Cursors hold how far each consumer of the log has come, by its name.
	Cursors Collection = "cursors"
	// People hold what is known of the people whom events name by an id, and can be erased where an event cannot.
	People Collection = "people"
)

// Store is what lives beside the log in the same backend and is no event: it may be replaced and deleted.
//
// A collection is lossy or durable. What is written to a lossy one waits for no disk, and may be lost without harm. What
// is written to a durable one is there once the call has returned, and survives what an acknowledged event survives.
// A collection is also a series, whose keys have many items (Add, Items, Prune), or single, whose keys have one (Put, Swap,
// Newest, Drop). An operation that the collection does not have, a key or a sequence that it does not take is refused
// with ErrInvalid, and data beyond its bound with ErrTooLarge.
//
// Every method may return an error that wraps ErrUnavailable or the context's error. In a durable collection Put, Swap and Drop
// may return ErrUnknownOutcome: the same call again settles it. Methods may be called from many goroutines.
type Store interface {
	// Add stores item unless its key already has an item with that sequence. Of an item sent twice the first is kept.
	Add(ctx context.Context, c Collection, item Item) error
	// Put makes item the only one under its key, whatever was there.
	Put(ctx context.Context, c Collection, item Item) error
	// Swap is Put if the newest item under the key has the sequence was; 0 means that there is none. Otherwise it returns
	// *Moved and changes nothing. The sequence of item must be above was. A Swap that finds its own item stored has
	// been done before and succeeds, so two writers that might write the same item must put something of their own into it.
	Swap(ctx context.Context, c Collection, item Item, was int64) error
	// Newest returns the newest item of each key.
	Newest(ctx context.Context, c Collection) (map[string]Item, error)
	// Items yields the items of key whose sequence is above after, in order of sequence, at most limit; limit 0 is no limit.
	Items(ctx context.Context, c Collection, key string, after int64, limit int) iter.Seq2[Item, error]
	// Drop deletes all items under key. It is not an error if there are none.
	Drop(ctx context.Context, c Collection, key string) error
	// Prune deletes every item older than before and returns how many there were.
	Prune(ctx context.Context, c Collection, before time.Time) (int, error)
}

// Backend is a log and what is stored beside it.
type Backend interface {
	Log
	Store
}
