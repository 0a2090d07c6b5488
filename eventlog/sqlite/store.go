package sqlite

import (
	"context"
	"database/sql/driver"
	"fmt"
	"iter"
	"time"

	"github.com/droverhq/drover/eventlog"
)

// putChange is a Put or Swap in a durable collection.
type putChange struct {
	collection eventlog.Collection
	item       eventlog.Item
	swap       bool
	expected   int64
}

func (p putChange) apply(c *conn) (answer, error) {
	if p.swap {
		stored, err := c.itemOf(p.collection, p.item.Key)
		if err != nil {
			return answer{}, err
		}
		repeat, conflict := eventlog.IsRepeatSwap(p.collection, p.item, stored, p.expected)
		if repeat || conflict != nil {
			return answer{err: conflict}, nil //nolint:nilerr // the conflict is the answer
		}
	}
	err := c.putItem.exec(string(p.collection), p.item.Key, p.item.Sequence, p.item.Time.Format(timeLayout),
		p.item.Data)
	return answer{written: true}, err
}

// dropChange is a Drop in a durable collection.
type dropChange struct {
	collection eventlog.Collection
	key        string
}

func (d dropChange) apply(c *conn) (answer, error) {
	stored, err := c.itemOf(d.collection, d.key)
	if err != nil || stored.Sequence == 0 {
		return answer{}, err
	}
	return answer{written: true, erased: true}, c.dropItem.exec(string(d.collection), d.key)
}

// durably applies a change of a durable collection through the writer.
func (l *Log) durably(ctx context.Context, c change) error {
	_, err := l.writer.do(ctx, newRequest(c, 1))
	return err
}

// use runs one operation of the store and adds the operation to its error.
func (l *Log) use(ctx context.Context, op eventlog.Operation, c eventlog.Collection, key string,
	run func() error) error {
	err := l.ready(ctx)
	if err == nil {
		err = run()
	}
	return op.Wrap(c, key, l.ended(err))
}

// Add implements eventlog.Store.
func (l *Log) Add(ctx context.Context, c eventlog.Collection, item eventlog.Item) error {
	checked, err := eventlog.CheckItem(eventlog.OpAdd, c, item)
	if err != nil {
		return err
	}
	return l.use(ctx, eventlog.OpAdd, c, item.Key, func() error { return explain(l.ephemera.addChunk(ctx, checked)) })
}

// Put implements eventlog.Store.
func (l *Log) Put(ctx context.Context, c eventlog.Collection, item eventlog.Item) error {
	checked, err := eventlog.CheckItem(eventlog.OpPut, c, item)
	if err != nil {
		return err
	}
	return l.use(ctx, eventlog.OpPut, c, item.Key, func() error {
		if c == eventlog.Leases {
			return explain(l.ephemera.putLease(ctx, checked))
		}
		return l.durably(ctx, putChange{collection: c, item: checked})
	})
}

// Swap implements eventlog.Store.
func (l *Log) Swap(ctx context.Context, c eventlog.Collection, item eventlog.Item, expected int64) error {
	checked, err := eventlog.CheckSwap(c, item, expected)
	if err != nil {
		return err
	}
	return l.use(ctx, eventlog.OpSwap, c, item.Key, func() error {
		return l.durably(ctx, putChange{collection: c, item: checked, swap: true, expected: expected})
	})
}

// Newest implements eventlog.Store.
func (l *Log) Newest(ctx context.Context, c eventlog.Collection) (found map[string]eventlog.Item, err error) {
	if err := eventlog.CheckCollection(eventlog.OpNewest, c); err != nil {
		return nil, err
	}
	err = l.use(ctx, eventlog.OpNewest, c, "", func() (err error) {
		if c == eventlog.Leases {
			found, err = l.ephemera.leases(ctx)
		} else {
			found, err = l.items(ctx, c)
		}
		return explain(err)
	})
	return found, err
}

// items reads all items of a durable collection.
func (l *Log) items(ctx context.Context, c eventlog.Collection) (map[string]eventlog.Item, error) {
	found := map[string]eventlog.Item{}
	err := l.withReader(ctx, func(r *reader) error {
		return r.items.eachUntil(ctx, func(row []driver.Value) error {
			item, err := scanItem(row)
			found[item.Key] = item
			return err
		}, string(c))
	})
	return found, err
}

// scanItem reads one item from a row of the table items.
func scanItem(row []driver.Value) (item eventlog.Item, err error) {
	item.Key, _ = row[0].(string)
	item.Sequence, _ = row[1].(int64)
	at, _ := row[2].(string)
	data, _ := row[3].([]byte)
	item.Data = append([]byte{}, data...)
	if item.Time, err = time.Parse(time.RFC3339Nano, at); err != nil {
		return eventlog.Item{}, fmt.Errorf("%w: item %q: %w", eventlog.ErrDamaged, item.Key, err)
	}
	return item, nil
}

// Items implements eventlog.Store.
func (l *Log) Items(ctx context.Context, c eventlog.Collection, key string, after int64,
	limit int) iter.Seq2[eventlog.Item, error] {
	return func(yield func(eventlog.Item, error) bool) {
		eventlog.ReadItems(c, key, after, limit, func(after int64, limit int) ([]eventlog.Item, error) {
			if err := l.ready(ctx); err != nil {
				return nil, err
			}
			chunks, err := l.ephemera.chunks(ctx, key, after, limit)
			return chunks, l.ended(explain(err))
		}, yield)
	}
}

// Drop implements eventlog.Store. Data of a durable collection is overwritten in the file. It leaves the write-ahead
// log as soon as no other connection prevents the writer from emptying it.
func (l *Log) Drop(ctx context.Context, c eventlog.Collection, key string) error {
	if err := eventlog.CheckKey(eventlog.OpDrop, c, key); err != nil {
		return err
	}
	return l.use(ctx, eventlog.OpDrop, c, key, func() error {
		if c == eventlog.Leases {
			return explain(l.ephemera.dropLease(ctx, key))
		}
		return l.durably(ctx, dropChange{collection: c, key: key})
	})
}

// Prune implements eventlog.Store.
func (l *Log) Prune(ctx context.Context, c eventlog.Collection, before time.Time) (pruned int, err error) {
	if err := eventlog.CheckCollection(eventlog.OpPrune, c); err != nil {
		return 0, err
	}
	err = l.use(ctx, eventlog.OpPrune, c, "", func() (err error) {
		pruned, err = l.ephemera.prune(ctx, before)
		return explain(err)
	})
	return pruned, err
}
