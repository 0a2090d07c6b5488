package memory

import (
	"bytes"
	"cmp"
	"context"
	"iter"
	"slices"
	"time"

	"github.com/droverhq/drover/eventlog"
)

// items are those of one collection by key, in order of sequence, guarded by the log's lock. A slice that readers may
// hold is replaced or appended to, never changed.
type items map[string][]eventlog.Item

// collection returns the items of c, which are made where they are missing.
func (l *Log) collection(c eventlog.Collection) items {
	if l.store[c] == nil {
		l.store[c] = items{}
	}
	return l.store[c]
}

// write runs change on the items of c, and names the operation in its error.
func (l *Log) write(ctx context.Context, op eventlog.Operation, c eventlog.Collection, key string, change func(items) error) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	err := l.ready(ctx)
	if err == nil {
		err = change(l.collection(c))
	}
	return op.Wrap(c, key, err)
}

func bySequence(item eventlog.Item, sequence int64) int { return cmp.Compare(item.Sequence, sequence) }

// Add stores item unless its sequence is there, see eventlog.Store.
func (l *Log) Add(ctx context.Context, c eventlog.Collection, item eventlog.Item) error {
	checked, err := eventlog.CheckItem(eventlog.OpAdd, c, item)
	if err != nil {
		return err
	}
	return l.write(ctx, eventlog.OpAdd, c, item.Key, func(all items) error {
		list := all[checked.Key]
		at, there := slices.BinarySearchFunc(list, checked.Sequence, bySequence)
		switch {
		case there:
		case at == len(list):
			// Behind the end of what readers hold, so their slices stay as they are.
			all[checked.Key] = append(list, checked)
		default:
			all[checked.Key] = slices.Insert(slices.Clone(list), at, checked)
		}
		return nil
	})
}

// Put makes item the only one under its key, see eventlog.Store.
func (l *Log) Put(ctx context.Context, c eventlog.Collection, item eventlog.Item) error {
	checked, err := eventlog.CheckItem(eventlog.OpPut, c, item)
	if err != nil {
		return err
	}
	return l.write(ctx, eventlog.OpPut, c, item.Key, func(all items) error {
		all[checked.Key] = []eventlog.Item{checked}
		return nil
	})
}

// Swap is Put if the newest item has the sequence was, see eventlog.Store.
func (l *Log) Swap(ctx context.Context, c eventlog.Collection, item eventlog.Item, was int64) error {
	checked, err := eventlog.CheckSwap(c, item, was)
	if err != nil {
		return err
	}
	return l.write(ctx, eventlog.OpSwap, c, item.Key, func(all items) error {
		repeat, err := eventlog.JudgeSwap(c, checked, newest(all[checked.Key]), was)
		if err == nil && !repeat {
			all[checked.Key] = []eventlog.Item{checked}
		}
		return err
	})
}

// newest returns the last of the items of one key, the zero Item if the key has no item.
func newest(list []eventlog.Item) eventlog.Item {
	if len(list) == 0 {
		return eventlog.Item{}
	}
	return list[len(list)-1]
}

// Newest returns the newest item of each key.
func (l *Log) Newest(ctx context.Context, c eventlog.Collection) (map[string]eventlog.Item, error) {
	if err := eventlog.CheckCollection(eventlog.OpNewest, c); err != nil {
		return nil, err
	}
	l.mu.RLock()
	defer l.mu.RUnlock()
	if err := l.ready(ctx); err != nil {
		return nil, eventlog.OpNewest.Wrap(c, "", err)
	}
	found := make(map[string]eventlog.Item, len(l.store[c]))
	for key, list := range l.store[c] {
		item := newest(list)
		item.Data = bytes.Clone(item.Data)
		found[key] = item
	}
	return found, nil
}

// Items yields the items of key above sequence after.
func (l *Log) Items(ctx context.Context, c eventlog.Collection, key string, after int64, limit int) iter.Seq2[eventlog.Item, error] {
	return func(yield func(eventlog.Item, error) bool) {
		list, err := l.list(ctx, c, key, limit)
		if err != nil {
			yield(eventlog.Item{}, err)
			return
		}
		first, there := slices.BinarySearchFunc(list, after, bySequence)
		if there {
			first++
		}
		for _, item := range list[first:end(first, limit, len(list))] {
			if err := ctx.Err(); err != nil {
				yield(eventlog.Item{}, eventlog.OpItems.Wrap(c, key, err))
				return
			}
			if !yield(item, nil) {
				return
			}
		}
	}
}

func (l *Log) list(ctx context.Context, c eventlog.Collection, key string, limit int) ([]eventlog.Item, error) {
	if err := eventlog.CheckItems(c, key, limit); err != nil {
		return nil, err
	}
	l.mu.RLock()
	defer l.mu.RUnlock()
	if err := l.ready(ctx); err != nil {
		return nil, eventlog.OpItems.Wrap(c, key, err)
	}
	return l.store[c][key], nil
}

// Drop deletes all items under key.
func (l *Log) Drop(ctx context.Context, c eventlog.Collection, key string) error {
	if err := eventlog.CheckKey(eventlog.OpDrop, c, key); err != nil {
		return err
	}
	return l.write(ctx, eventlog.OpDrop, c, key, func(all items) error {
		delete(all, key)
		return nil
	})
}

// Prune deletes every item older than before.
func (l *Log) Prune(ctx context.Context, c eventlog.Collection, before time.Time) (pruned int, err error) {
	if err := eventlog.CheckCollection(eventlog.OpPrune, c); err != nil {
		return 0, err
	}
	err = l.write(ctx, eventlog.OpPrune, c, "", func(all items) error {
		for key, list := range all {
			kept := make([]eventlog.Item, 0, len(list))
			for _, item := range list {
				if !item.Time.Before(before) {
					kept = append(kept, item)
				}
			}
			pruned += len(list) - len(kept)
			all[key] = kept
			if len(kept) == 0 {
				delete(all, key)
			}
		}
		return nil
	})
	return pruned, err
}
