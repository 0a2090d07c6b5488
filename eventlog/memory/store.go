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

// items holds the items of one collection by key, in order of sequence. The lock of the log guards it. Readers may hold
// a slice, so a slice may be replaced or appended to, but its elements are never changed.
type items map[string][]eventlog.Item

// collection returns the items of c, and creates the map if it is missing.
func (l *Log) collection(c eventlog.Collection) items {
	if l.store[c] == nil {
		l.store[c] = items{}
	}
	return l.store[c]
}

// write calls change with the items of c, and adds the operation to its error.
func (l *Log) write(ctx context.Context, op eventlog.Operation, c eventlog.Collection, key string,
	change func(items) error) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	err := l.ready(ctx)
	if err == nil {
		err = change(l.collection(c))
	}
	return op.Wrap(c, key, err)
}

func bySequence(item eventlog.Item, sequence int64) int { return cmp.Compare(item.Sequence, sequence) }

// Add implements eventlog.Store.
func (l *Log) Add(ctx context.Context, c eventlog.Collection, item eventlog.Item) error {
	checked, err := eventlog.CheckItem(eventlog.OpAdd, c, item)
	if err != nil {
		return err
	}
	return l.write(ctx, eventlog.OpAdd, c, item.Key, func(all items) error {
		list := all[checked.Key]
		at, found := slices.BinarySearchFunc(list, checked.Sequence, bySequence)
		switch {
		case found:
		case at == len(list):
			// The new item is beyond the end of the slices that readers hold, so these slices stay unchanged.
			all[checked.Key] = append(list, checked)
		default:
			all[checked.Key] = slices.Insert(slices.Clone(list), at, checked)
		}
		return nil
	})
}

// Put implements eventlog.Store.
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

// Swap implements eventlog.Store.
func (l *Log) Swap(ctx context.Context, c eventlog.Collection, item eventlog.Item, expected int64) error {
	checked, err := eventlog.CheckSwap(c, item, expected)
	if err != nil {
		return err
	}
	return l.write(ctx, eventlog.OpSwap, c, item.Key, func(all items) error {
		repeat, err := eventlog.IsRepeatSwap(c, checked, newest(all[checked.Key]), expected)
		if err == nil && !repeat {
			all[checked.Key] = []eventlog.Item{checked}
		}
		return err
	})
}

// newest returns the last of the items of one key, or the zero Item if there are no items.
func newest(list []eventlog.Item) eventlog.Item {
	if len(list) == 0 {
		return eventlog.Item{}
	}
	return list[len(list)-1]
}

// Newest implements eventlog.Store.
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

// Items implements eventlog.Store.
func (l *Log) Items(ctx context.Context, c eventlog.Collection, key string, after int64,
	limit int) iter.Seq2[eventlog.Item, error] {
	return func(yield func(eventlog.Item, error) bool) {
		list, err := l.list(ctx, c, key, limit)
		if err != nil {
			yield(eventlog.Item{}, err)
			return
		}
		first, found := slices.BinarySearchFunc(list, after, bySequence)
		if found {
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

// Drop implements eventlog.Store.
func (l *Log) Drop(ctx context.Context, c eventlog.Collection, key string) error {
	if err := eventlog.CheckKey(eventlog.OpDrop, c, key); err != nil {
		return err
	}
	return l.write(ctx, eventlog.OpDrop, c, key, func(all items) error {
		delete(all, key)
		return nil
	})
}

// Prune implements eventlog.Store.
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
