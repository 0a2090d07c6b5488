package eventlog

import (
	"context"
	"iter"
	"time"
)

// Item is a value that is stored beside the log.
type Item struct {
	// Key identifies the owner of the item: the id of a server, DEPLOYMENT/MACHINE, or the name of a consumer. A
	// backend may retain a key after its items are deleted, for example as the name of a stream. A key must therefore
	// be an id and never personal data.
	Key string
	// Sequence orders the items of one key. The writer chooses it, starting at 1.
	Sequence int64
	// Time is the wall clock of the server that stored the item. It is stored in UTC, truncated to microseconds.
	Time time.Time
	// Data is the value of the item. Backends do not interpret it.
	Data []byte
}

// Collection is the name of a collection of items. The constants below are all the collections; collection.go defines
// their properties.
type Collection string

const (
	// Leases hold one heartbeat per server, by server id. Only presence reads them.
	Leases Collection = "leases"
	// Contacts hold, by server id, the sessions of other servers that the server has heard from. Only presence reads
	// them.
	Contacts Collection = "contacts"
	// Output holds the output of deployment steps, by deployment and machine; see OutputKey. No decision depends on
	// it.
	Output Collection = "output"
	// Cursors hold the position of each consumer of the log, by consumer name.
	Cursors Collection = "cursors"
	// People hold personal data, by the id that events use for a person. Unlike events, these items can be erased.
	People Collection = "people"
	// TokenUses hold when each token was last used, by token id. Their items have a time and no data. No decision
	// depends on them.
	TokenUses Collection = "token-uses"
)

// Store holds items beside the log, in the same backend. Unlike events, items can be replaced and deleted.
//
// A collection is lossy or durable. Writes to a lossy collection do not wait for the disk and may be lost without
// harm. A write to a durable collection is stored when the call returns, and is as durable as an acknowledged event.
//
// A collection is also a series or single. A key of a series has many items (Add, Items, Prune). A key of a single
// collection has one item (Put, Swap, Newest, Drop). An unsupported operation, or an invalid key or sequence, returns
// ErrInvalid. Data that is too large for the collection returns ErrTooLarge.
//
// Every method may return an error that wraps ErrUnavailable or the error of the context. In a durable collection, Put,
// Swap and Drop may return ErrUnknownOutcome: repeat the same call to find out whether it succeeded. All methods are
// safe for concurrent use.
type Store interface {
	// Add stores item. If its key already has an item with this sequence, Add changes nothing and returns nil.
	Add(ctx context.Context, c Collection, item Item) error
	// Put stores item as the only item of its key and replaces any previous item.
	Put(ctx context.Context, c Collection, item Item) error
	// Swap works like Put if the sequence of the key's newest item is expected; 0 means that there is no item. Otherwise
	// it returns *SwapConflict and changes nothing. The sequence of item must be above expected. If the stored item
	// already equals item, Swap is a repeat and succeeds. Two writers that might store equal items must therefore include
	// something unique.
	Swap(ctx context.Context, c Collection, item Item, expected int64) error
	// Newest returns the newest item of each key.
	Newest(ctx context.Context, c Collection) (map[string]Item, error)
	// Items yields at most limit items of key whose sequence is above after, in order of sequence. A limit of 0 means
	// no limit.
	Items(ctx context.Context, c Collection, key string, after int64, limit int) iter.Seq2[Item, error]
	// Drop deletes all items of key. It returns nil if the key has no items.
	Drop(ctx context.Context, c Collection, key string) error
	// Prune deletes every item older than before and returns the number of deleted items.
	Prune(ctx context.Context, c Collection, before time.Time) (int, error)
}

// Backend is a log with its store.
type Backend interface {
	Log
	Store
}
