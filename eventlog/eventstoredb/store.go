package eventstoredb

import (
	"context"
	"iter"
	"time"

	"github.com/google/uuid"

	"github.com/droverhq/drover/eventlog"
)

// use runs one operation on the store and wraps its error.
func (l *Log) use(ctx context.Context, op eventlog.Operation, c eventlog.Collection, key string,
	run func() error) error {
	err := l.ready(ctx)
	if err == nil {
		err = run()
	}
	return op.Wrap(c, key, err)
}

// Add stores item unless its sequence exists, see eventlog.Store.
func (l *Log) Add(ctx context.Context, c eventlog.Collection, item eventlog.Item) error {
	checked, err := eventlog.CheckItem(eventlog.OpAdd, c, item)
	if err != nil {
		return err
	}
	return l.use(ctx, eventlog.OpAdd, c, item.Key, func() error { return l.putChunk(ctx, checked) })
}

// Put makes item the only one under its key, see eventlog.Store.
func (l *Log) Put(ctx context.Context, c eventlog.Collection, item eventlog.Item) error {
	checked, err := eventlog.CheckItem(eventlog.OpPut, c, item)
	if err != nil {
		return err
	}
	return l.use(ctx, eventlog.OpPut, c, item.Key, func() error {
		if c == eventlog.Leases {
			return l.putLease(ctx, uuid.MustParse(checked.Key), checked.Data)
		}
		return l.putItem(ctx, c, checked, func(eventlog.Item) (bool, error) { return false, nil })
	})
}

// Swap is Put on condition that the newest item has the expected sequence, see eventlog.Store.
func (l *Log) Swap(ctx context.Context, c eventlog.Collection, item eventlog.Item, expected int64) error {
	checked, err := eventlog.CheckSwap(c, item, expected)
	if err != nil {
		return err
	}
	return l.use(ctx, eventlog.OpSwap, c, item.Key, func() error {
		return l.putItem(ctx, c, checked, func(current eventlog.Item) (bool, error) {
			return eventlog.IsRepeatSwap(c, checked, current, expected)
		})
	})
}

// Newest returns the newest item of each key.
func (l *Log) Newest(ctx context.Context, c eventlog.Collection) (found map[string]eventlog.Item, err error) {
	if err := eventlog.CheckCollection(eventlog.OpNewest, c); err != nil {
		return nil, err
	}
	err = l.use(ctx, eventlog.OpNewest, c, "", func() (err error) {
		if c == eventlog.Leases {
			found, err = l.readLeases(ctx)
		} else {
			found, err = l.readItems(ctx, c)
		}
		return err
	})
	return found, err
}

// Items yields the items of key above sequence after.
func (l *Log) Items(ctx context.Context, c eventlog.Collection, key string, after int64,
	limit int) iter.Seq2[eventlog.Item, error] {
	return func(yield func(eventlog.Item, error) bool) {
		if err := eventlog.CheckItems(c, key, limit); err != nil {
			yield(eventlog.Item{}, err)
			return
		}
		var found chunkSet
		err := l.use(ctx, eventlog.OpItems, c, key, func() (err error) {
			found, err = l.chunks(ctx, key, max(after, 0), limit)
			return err
		})
		for _, chunk := range found {
			if err == nil {
				err = eventlog.OpItems.Wrap(c, key, ended(ctx))
			}
			if err != nil || !yield(chunk, nil) {
				break
			}
		}
		if err != nil {
			yield(eventlog.Item{}, err)
		}
	}
}

// Drop deletes all items under key. The server removes them from disk during a scavenge.
func (l *Log) Drop(ctx context.Context, c eventlog.Collection, key string) error {
	if err := eventlog.CheckKey(eventlog.OpDrop, c, key); err != nil {
		return err
	}
	return l.use(ctx, eventlog.OpDrop, c, key, func() error {
		if c == eventlog.Leases {
			return l.dropLease(ctx, uuid.MustParse(key))
		}
		return l.dropItem(ctx, c, key)
	})
}

// Prune deletes the items older than before and returns their number. Output chunks are deleted in order of
// arrival: an old chunk after a newer one stays until that one is deleted.
func (l *Log) Prune(ctx context.Context, c eventlog.Collection, before time.Time) (pruned int, err error) {
	if err := eventlog.CheckCollection(eventlog.OpPrune, c); err != nil {
		return 0, err
	}
	err = l.use(ctx, eventlog.OpPrune, c, "", func() (err error) {
		pruned, err = l.prune(ctx, before)
		return err
	})
	return pruned, err
}
