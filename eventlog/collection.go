package eventlog

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/google/uuid"
)

// Limits of an item's data, the same on every backend.
const (
	// MaxLeaseBytes is the largest lease.
	MaxLeaseBytes = 4 << 10
	// MaxChunkBytes is the largest chunk of output.
	MaxChunkBytes = 64 << 10
	// MaxContactsBytes is the largest list of contacts.
	MaxContactsBytes = 64 << 10
	// MaxItemBytes is the largest item of every other durable collection.
	MaxItemBytes = 4 << 10
)

// Operation is a method of Store. Its text is the beginning of error messages.
type Operation string

// The operations of Store.
const (
	OpAdd    Operation = "add to"
	OpPut    Operation = "put into"
	OpSwap   Operation = "swap in"
	OpNewest Operation = "read newest of"
	OpItems  Operation = "read items of"
	OpDrop   Operation = "drop from"
	OpPrune  Operation = "prune"
)

// traits are the properties of a collection.
type traits struct {
	durable bool
	// bare items have no sequence and no time.
	bare bool
	// bound is the largest length of an item's data.
	bound int
	// checkKey returns an error for an invalid key.
	checkKey   func(key string) error
	operations []Operation
}

// series and single are the operations of collections with many items per key, and with one item per key. Leases have
// no Swap and no sequence or time, because the tables of earlier versions, which run beside this version during an
// upgrade, have no columns for them.
var (
	series = []Operation{OpAdd, OpItems, OpPrune}
	single = []Operation{OpPut, OpSwap, OpNewest, OpDrop}
)

// collections defines every collection. A new durable single collection works with every backend. A new series, or
// another lossy collection, needs code in each backend.
var collections = map[Collection]traits{
	Leases: {bare: true, bound: MaxLeaseBytes, checkKey: checkServer,
		operations: []Operation{OpPut, OpNewest, OpDrop}},
	Output:   {bound: MaxChunkBytes, checkKey: checkPart, operations: series},
	Contacts: {durable: true, bound: MaxContactsBytes, checkKey: checkKey, operations: single},
	Cursors:  {durable: true, bound: MaxItemBytes, checkKey: checkKey, operations: single},
	People:   {durable: true, bound: MaxItemBytes, checkKey: checkKey, operations: single},

	TokenUses: {durable: true, bound: MaxItemBytes, checkKey: checkKey, operations: single},
}

// Collections returns all collections, sorted by name.
func Collections() []Collection { return slices.Sorted(maps.Keys(collections)) }

// Durable reports whether items of c survive a crash.
func (c Collection) Durable() bool { return collections[c].durable }

// MaxBytes returns the largest number of bytes in the data of an item.
func (c Collection) MaxBytes() int { return collections[c].bound }

// Supports reports whether c supports op.
func (c Collection) Supports(op Operation) bool {
	return slices.Contains(collections[c].operations, op)
}

// Wrap adds the operation, the collection and the key to err, and returns nil for nil. key is empty for operations on
// all keys.
func (op Operation) Wrap(c Collection, key string, err error) error {
	switch {
	case err == nil:
		return nil
	case key == "":
		return fmt.Errorf("%s %s: %w", op, c, err)
	}
	return fmt.Errorf("%s %s under %.80q: %w", op, c, key, err)
}

// CheckCollection returns ErrInvalid if c does not support op.
func CheckCollection(op Operation, c Collection) error { return op.Wrap(c, "", checkCollection(op, c)) }

func checkCollection(op Operation, c Collection) error {
	if !c.Supports(op) {
		return fmt.Errorf("%w: the collection does not support this operation", ErrInvalid)
	}
	return nil
}

// CheckKey returns ErrInvalid if c does not support op or key is invalid.
func CheckKey(op Operation, c Collection, key string) error {
	return op.Wrap(c, key, checkKeyOf(op, c, key))
}

func checkKeyOf(op Operation, c Collection, key string) error {
	if err := checkCollection(op, c); err != nil {
		return err
	}
	if err := collections[c].checkKey(key); err != nil {
		return fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	return nil
}

// CheckItems validates a call of Items, as CheckKey and CheckLimit do.
func CheckItems(c Collection, key string, limit int) error {
	if err := CheckKey(OpItems, c, key); err != nil {
		return err
	}
	return OpItems.Wrap(c, key, CheckLimit(limit))
}

// CheckItem validates item and returns it as every backend stores it: its time in UTC and truncated to microseconds,
// its data not nil and not shared with the caller. It returns the errors that Store documents.
func CheckItem(op Operation, c Collection, item Item) (Item, error) {
	if err := CheckKey(op, c, item.Key); err != nil {
		return Item{}, err
	}
	checked, err := checkItem(collections[c], item)
	return checked, op.Wrap(c, item.Key, err)
}

func checkItem(t traits, item Item) (Item, error) {
	switch {
	case t.bare && (item.Sequence != 0 || !item.Time.IsZero()):
		return Item{}, fmt.Errorf("%w: items of this collection have no sequence and no time", ErrInvalid)
	case !t.bare && item.Sequence < 1:
		return Item{}, fmt.Errorf("%w: invalid sequence %d: use 1 or more", ErrInvalid, item.Sequence)
	case len(item.Data) > t.bound:
		return Item{}, fmt.Errorf("%w: item %d has %d bytes: the limit is %d", ErrTooLarge, item.Sequence,
			len(item.Data), t.bound)
	}
	at, err := truncate(item.Time)
	if err != nil {
		return Item{}, fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	return Item{Key: item.Key, Sequence: item.Sequence, Time: at, Data: append([]byte{}, item.Data...)}, nil
}

// CheckSwap works like CheckItem for Swap. It also returns ErrInvalid if the sequence of item is not above expected.
func CheckSwap(c Collection, item Item, expected int64) (Item, error) {
	checked, err := CheckItem(OpSwap, c, item)
	switch {
	case err != nil:
		return Item{}, err
	case expected < 0:
		err = fmt.Errorf("%w: invalid expected sequence %d: use 0 if there is no item", ErrInvalid, expected)
	case item.Sequence <= expected:
		err = fmt.Errorf("%w: sequence %d is not above the expected %d", ErrInvalid, item.Sequence, expected)
	}
	return checked, OpSwap.Wrap(c, item.Key, err)
}

func checkKey(key string) error {
	if err := checkName(key); err != nil {
		return fmt.Errorf("the key %w", err)
	}
	return nil
}

func checkServer(key string) error {
	if id, err := uuid.Parse(key); err != nil || id.String() != key {
		return fmt.Errorf("the key is not the id of a server")
	}
	return nil
}

func checkPart(key string) error {
	_, _, err := ParseOutputKey(key)
	return err
}

// Lease returns the lease of server as an item.
func Lease(server uuid.UUID, value []byte) Item { return Item{Key: server.String(), Data: value} }

// ReadLeases returns the value of the lease of each server.
func ReadLeases(ctx context.Context, store Store) (map[uuid.UUID][]byte, error) {
	items, err := store.Newest(ctx, Leases)
	if err != nil {
		return nil, err
	}
	leases := make(map[uuid.UUID][]byte, len(items))
	for key, item := range items {
		server, err := uuid.Parse(key)
		if err != nil {
			return nil, OpNewest.Wrap(Leases, key, fmt.Errorf("%w: the key is not the id of a server", ErrDamaged))
		}
		leases[server] = item.Data
	}
	return leases, nil
}

// OutputKey returns the key for the output of a machine in a deployment.
func OutputKey(deployment uuid.UUID, machine string) string {
	return deployment.String() + "/" + machine
}

// ParseOutputKey returns the deployment and the machine of a key that OutputKey returned, and an error for any other
// key.
func ParseOutputKey(key string) (deployment uuid.UUID, machine string, err error) {
	text, machine, _ := strings.Cut(key, "/")
	deployment, err = uuid.Parse(text)
	if err != nil || deployment.String() != text {
		return uuid.Nil, "", fmt.Errorf("the key does not begin with the id of a deployment")
	}
	if err := checkName(machine); err != nil {
		return uuid.Nil, "", fmt.Errorf("the machine name %w", err)
	}
	return deployment, machine, nil
}
