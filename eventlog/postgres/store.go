package postgres

import (
	"context"
	"fmt"
	"iter"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

	"github.com/droverhq/drover/eventlog"
)

func uuidOf(id uuid.UUID) pgtype.UUID { return pgtype.UUID{Bytes: id, Valid: true} }

// call calls a function of the schema that returns a number.
func (l *Log) call(ctx context.Context, query string, arguments ...any) (n int, err error) {
	err = l.do(ctx, func(ctx context.Context) error { return l.readers.QueryRow(ctx, query, arguments...).Scan(&n) })
	return n, err
}

// durably calls a function that changes a durable collection. If it is unknown whether the change was made, the error
// is ErrUnknownOutcome.
func (l *Log) durably(ctx context.Context, query string, arguments []any, results ...any) error {
	uncertain := false
	err := l.do(ctx, func(ctx context.Context) error {
		conn, err := l.readers.Acquire(ctx)
		if err != nil {
			return &notSent{err}
		}
		defer conn.Release()
		err = conn.QueryRow(ctx, query, arguments...).Scan(results...)
		uncertain = err != nil && mayBeStored(err)
		return err
	})
	if uncertain {
		return fmt.Errorf("%w: %w", eventlog.ErrUnknownOutcome, err)
	}
	return err
}

// Add implements eventlog.Store.
func (l *Log) Add(ctx context.Context, c eventlog.Collection, item eventlog.Item) error {
	checked, err := eventlog.CheckItem(eventlog.OpAdd, c, item)
	if err != nil {
		return err
	}
	deployment, machine, err := eventlog.ParseOutputKey(item.Key)
	if err == nil {
		_, err = l.call(ctx, l.queries.putChunk, uuidOf(deployment), machine, checked.Sequence, checked.Time,
			checked.Data)
	}
	return eventlog.OpAdd.Wrap(c, item.Key, err)
}

// Put implements eventlog.Store.
func (l *Log) Put(ctx context.Context, c eventlog.Collection, item eventlog.Item) error {
	checked, err := eventlog.CheckItem(eventlog.OpPut, c, item)
	if err != nil {
		return err
	}
	if c == eventlog.Leases {
		_, err = l.call(ctx, l.queries.putLease, checked.Key, checked.Data)
	} else {
		_, _, err = l.putItem(ctx, c, checked, nil)
	}
	return eventlog.OpPut.Wrap(c, item.Key, err)
}

// Swap implements eventlog.Store.
func (l *Log) Swap(ctx context.Context, c eventlog.Collection, item eventlog.Item, expected int64) error {
	checked, err := eventlog.CheckSwap(c, item, expected)
	if err != nil {
		return err
	}
	return eventlog.OpSwap.Wrap(c, item.Key, l.swap(ctx, c, checked, expected))
}

// swap retries if the attempt did not find the expected item but the read of the stored item did.
func (l *Log) swap(ctx context.Context, c eventlog.Collection, item eventlog.Item, expected int64) error {
	for {
		stored, found, err := l.putItem(ctx, c, item, &expected)
		if err != nil || stored {
			return err
		}
		if repeat, err := eventlog.IsRepeatSwap(c, item, found, expected); err != nil || repeat {
			return err
		}
	}
}

// putItem stores an item of a durable collection. If it did not store the item, found is the stored item.
func (l *Log) putItem(ctx context.Context, c eventlog.Collection, item eventlog.Item, expected *int64) (stored bool,
	found eventlog.Item, err error) {
	var sequence pgtype.Int8
	var at pgtype.Timestamptz
	err = l.durably(ctx, l.queries.putItem, []any{uuidOf(l.id), string(c), item.Key, expected, item.Sequence, item.Time,
		item.Data},
		&stored, &sequence, &at, &found.Data)
	found.Key, found.Sequence, found.Time = item.Key, sequence.Int64, at.Time
	return stored, found, err
}

// Newest implements eventlog.Store.
func (l *Log) Newest(ctx context.Context, c eventlog.Collection) (map[string]eventlog.Item, error) {
	if err := eventlog.CheckCollection(eventlog.OpNewest, c); err != nil {
		return nil, err
	}
	query, scan, arguments := l.queries.items, scanItem, []any{string(c)}
	if c == eventlog.Leases {
		query, scan, arguments = l.queries.leases, scanLease, nil
	}
	list, err := collect(ctx, l, scan, query, arguments...)
	if err != nil {
		return nil, eventlog.OpNewest.Wrap(c, "", err)
	}
	found := make(map[string]eventlog.Item, len(list))
	for _, item := range list {
		found[item.Key] = item
	}
	return found, nil
}

// collect returns the items in the result of a query.
func collect(ctx context.Context, l *Log, scan pgx.RowToFunc[eventlog.Item], query string,
	arguments ...any) (list []eventlog.Item, err error) {
	err = l.do(ctx, func(ctx context.Context) error {
		rows, err := l.readers.Query(ctx, query, arguments...)
		if err == nil {
			list, err = pgx.CollectRows(rows, scan)
		}
		return err
	})
	return list, err
}

func scanLease(row pgx.CollectableRow) (lease eventlog.Item, err error) {
	var server pgtype.UUID
	err = row.Scan(&server, &lease.Data)
	lease.Key = uuid.UUID(server.Bytes).String()
	return lease, err
}

func scanItem(row pgx.CollectableRow) (item eventlog.Item, err error) {
	err = row.Scan(&item.Key, &item.Sequence, &item.Time, &item.Data)
	item.Time = item.Time.UTC()
	return item, err
}

// Items implements eventlog.Store.
func (l *Log) Items(ctx context.Context, c eventlog.Collection, key string, after int64,
	limit int) iter.Seq2[eventlog.Item, error] {
	return func(yield func(eventlog.Item, error) bool) {
		eventlog.ReadItems(c, key, after, limit, func(after int64, limit int) ([]eventlog.Item, error) {
			deployment, machine, err := eventlog.ParseOutputKey(key)
			if err != nil {
				return nil, err
			}
			scan := func(row pgx.CollectableRow) (eventlog.Item, error) {
				chunk := eventlog.Item{Key: key}
				err := row.Scan(&chunk.Sequence, &chunk.Time, &chunk.Data)
				chunk.Time = chunk.Time.UTC()
				return chunk, err
			}
			return collect(ctx, l, scan, l.queries.chunks, uuidOf(deployment), machine, after, limit)
		}, yield)
	}
}

// Drop implements eventlog.Store.
func (l *Log) Drop(ctx context.Context, c eventlog.Collection, key string) error {
	if err := eventlog.CheckKey(eventlog.OpDrop, c, key); err != nil {
		return err
	}
	var err error
	if c == eventlog.Leases {
		_, err = l.call(ctx, l.queries.dropLease, key)
	} else {
		var dropped int
		err = l.durably(ctx, l.queries.dropItem, []any{uuidOf(l.id), string(c), key}, &dropped)
	}
	return eventlog.OpDrop.Wrap(c, key, err)
}

// Prune implements eventlog.Store.
func (l *Log) Prune(ctx context.Context, c eventlog.Collection, before time.Time) (int, error) {
	if err := eventlog.CheckCollection(eventlog.OpPrune, c); err != nil {
		return 0, err
	}
	n, err := l.call(ctx, l.queries.prune, before)
	return n, eventlog.OpPrune.Wrap(c, "", err)
}
