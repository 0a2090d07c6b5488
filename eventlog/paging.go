package eventlog

import (
	"context"
)

// page holds some events and the error that ended the read after them.
type page struct {
	events []Recorded
	more   bool
	err    error
}

// ReadAhead implements paged reads for a backend. next returns the events of one page and whether more may follow.
//
// While the consumer processes one page, the next one is read and checked. A long replay therefore uses two cores, and
// no transaction waits for the consumer. Every goroutine that ReadAhead starts ends before it returns. A read of a
// single page, the common case, starts no goroutine, because waking one costs more than the read.
func ReadAhead(ctx context.Context, next func(context.Context) (events []Recorded, more bool, err error),
	yield func(Recorded, error) bool) {
	p := read(ctx, next)
	if !p.more {
		p.yield(ctx, yield)
		return
	}
	reading, stop := context.WithCancel(ctx)
	pages := fetch(reading, next)
	defer func() {
		stop()
		for range pages {
		}
	}()
	for more := true; more && p.yield(ctx, yield); {
		p, more = <-pages
	}
}

func read(ctx context.Context, next func(context.Context) ([]Recorded, bool, error)) (p page) {
	p.events, p.more, p.err = next(ctx)
	p.more = p.more && p.err == nil
	return p
}

// yield passes the events of p to the consumer and reports whether it wants another page.
func (p page) yield(ctx context.Context, yield func(Recorded, error) bool) bool {
	for _, event := range p.events {
		if err := ctx.Err(); err != nil {
			p.err = err
			break
		}
		if !yield(event, nil) {
			return false
		}
	}
	if p.err != nil {
		yield(Recorded{}, p.err)
	}
	return p.err == nil
}

// fetch reads one page ahead of the consumer, which must receive all pages.
func fetch(ctx context.Context, next func(context.Context) ([]Recorded, bool, error)) <-chan page {
	pages := make(chan page)
	go func() {
		defer close(pages)
		for more := true; more; {
			p := read(ctx, next)
			more = p.more
			pages <- p
		}
	}()
	return pages
}

// itemPage is the largest number of items in one page. It limits the memory of a read to 1 MiB.
const itemPage = 16

// ReadItems implements Store.Items for a backend: it yields the items of key above sequence after. read returns at
// most limit of them, in order.
func ReadItems(c Collection, key string, after int64, limit int,
	read func(after int64, limit int) ([]Item, error), yield func(Item, error) bool) {
	err := CheckItems(c, key, limit)
	done := 0
	for more := err == nil; more; {
		want := itemPage
		if limit > 0 {
			want = min(want, limit-done)
		}
		var items []Item
		if items, err = read(after, want); err != nil {
			err = OpItems.Wrap(c, key, err)
			break
		}
		for _, item := range items {
			if !yield(item, nil) {
				return
			}
			after = item.Sequence
		}
		done += len(items)
		more = len(items) == want && done != limit
	}
	if err != nil {
		yield(Item{}, err)
	}
}
