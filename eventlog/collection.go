package eventlog

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/google/uuid"
)

// Bounds of an item's data, the same on every backend.
const (
	// MaxLeaseBytes is the largest lease.
	MaxLeaseBytes = 4 << 10
	// MaxChunkBytes is the largest chunk of output.
	MaxChunkBytes = 64 << 10
	// MaxItemBytes is the largest item of a durable collection.
	MaxItemBytes = 4 << 10
)

// Operation is a method of Store, in the words with which its errors begin.
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
	// bare items have neither sequence nor time.
	bare bool
	// bound is the largest data of an item.
	bound int
	// checkKey says what is wrong with a key.
	checkKey   func(key string) error
	operations []Operation
}

// series and single are the operations of collections whose keys have many items, and one. Leases have no Swap, and no
// bookkeeping either: the tables of earlier versions, which run beside this one during an upgrade, have no place for it.
var (
	series = []Operation{OpAdd, OpItems, OpPrune}
	single = []Operation{OpPut, OpSwap, OpNewest, OpDrop}
)

// collections are all there are. A durable single collection that is added here works with every backend; a series, or
// another lossy collection, needs a place in each of them.
var collections = map[Collection]traits{
	Leases:  {bare: true, bound: MaxLeaseBytes, checkKey: checkServer, operations: []Operation{OpPut, OpNewest, OpDrop}},
	Output:  {bound: MaxChunkBytes, checkKey: checkPart, operations: series},
	Cursors: {durable: true, bound: MaxItemBytes, checkKey: checkKey, operations: single},
	People:  {durable: true, bound: MaxItemBytes, checkKey: checkKey, operations: single},
}

// Collections returns all collections, in order of their names.
func Collections() []Collection { return slices.Sorted(maps.Keys(collections)) }

// Durable says whether what is written to c survives a crash.
func (c Collection) Durable() bool { return collections[c].durable }

// Bound returns the largest number of bytes of an item's data.
func (c Collection) Bound() int { return collections[c].bound }

// Allows says whether c has an operation.
func (c Collection) Allows(op Operation) bool { return slices.Contains(collections[c].operations, op) }

// Wrap puts in front of err what failed, and returns nil for nil. The key is empty for operations on all keys.
func (op Operation) Wrap(c Collection, key string, err error) error {
	switch {
	case err == nil:
		return nil
	case key == "":
		return fmt.Errorf("%s %s: %w", op, c, err)
	}
	return fmt.Errorf("%s %s under %.80q: %w", op, c, key, err)
}

// CheckCollection refuses an operation that c does not have.
func CheckCollection(op Operation, c Collection) error { return op.Wrap(c, "", checkCollection(op, c)) }

func checkCollection(op Operation, c Collection) error {
	if !c.Allows(op) {
		return fmt.Errorf("%w: the collection has no such operation", ErrInvalid)
	}
	return nil
}

// CheckKey refuses an operation that c does not have, and a key that c does not take.
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

// CheckItems is the check of Items: that of CheckKey and that of CheckLimit.
func CheckItems(c Collection, key string, limit int) error {
	if err := CheckKey(OpItems, c, key); err != nil {
		return err
	}
	return OpItems.Wrap(c, key, CheckLimit(limit))
}

// CheckItem returns item as every backend stores it: its time in UTC and cut to microseconds, its data not nil and
// shared with nobody. It refuses what Store says.
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
		return Item{}, fmt.Errorf("%w: an item of this collection has neither sequence nor time", ErrInvalid)
	case !t.bare && item.Sequence < 1:
		return Item{}, fmt.Errorf("%w: sequence %d, the first is 1", ErrInvalid, item.Sequence)
	case len(item.Data) > t.bound:
		return Item{}, fmt.Errorf("%w: item %d has %d bytes, at most %d", ErrTooLarge, item.Sequence, len(item.Data), t.bound)
	}
	at, err := cut(item.Time)
	if err != nil {
		return Item{}, fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	return Item{Key: item.Key, Sequence: item.Sequence, Time: at, Data: append([]byte{}, item.Data...)}, nil
}

// CheckSwap is CheckItem for Swap. It also refuses a sequence that is not above was.
func CheckSwap(c Collection, item Item, was int64) (Item, error) {
	checked, err := CheckItem(OpSwap, c, item)
	switch {
	case err != nil:
		return Item{}, err
	case was < 0:
		err = fmt.Errorf("%w: invalid expected sequence %d: use 0 where there is no item", ErrInvalid, was)
	case item.Sequence <= was:
		err = fmt.Errorf("%w: sequence %d is not above the expected %d", ErrInvalid, item.Sequence, was)
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

// Lease returns the lease of server.
func Lease(server uuid.UUID, value []byte) Item { return Item{Key: server.String(), Data: value} }

// ReadLeases returns the value of each server's lease.
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

// OutputKey returns the key of a machine's output in a deployment.
func OutputKey(deployment uuid.UUID, machine string) string {
	return deployment.String() + "/" + machine
}

// ParseOutputKey returns what OutputKey was given, and says what is wrong with a key that it did not make.
func ParseOutputKey(key string) (deployment uuid.UUID, machine string, err error) {
	text, machine, _ := strings.Cut(key, "/")
	deployment, err = uuid.Parse(text)
	if err != nil || deployment.String() != text {
		return uuid.Nil, "", fmt.Errorf("the key does not begin with the id of a deployment")
	}
	if err := checkName(machine); err != nil {
		return uuid.Nil, "", fmt.Errorf("the machine's name %w", err)
	}
	return deployment, machine, nil
}
