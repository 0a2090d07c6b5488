package eventlog

import (
	"context"
)

// page is some events, and what ended the read behind the last of them.
type page struct {
	events []Recorded
	more   bool
	err    error
}

// ReadAhead yields page after page for a backend; next returns the events of one, and whether there may be more.
// While the consumer works on one page the next is read and checked, so that a long replay uses two cores and no
// transaction waits for the consumer. Nothing of the read outlives the call. A read of one page, which most are, takes no
// goroutine: to wake one costs more than to read it.
func ReadAhead(ctx context.Context, next func(context.Context) (events []Recorded, more bool, err error), yield func(Recorded, error) bool) {
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

// yield hands a page over, and says whether its consumer wants another.
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

// fetch reads one page ahead of its consumer, who must receive all of them.
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

// itemPage is how many items a read holds in memory, at most 1 MiB.
const itemPage = 16

// ReadItems yields the items of key above sequence after for a backend; read returns at most limit of them, in order.
func ReadItems(c Collection, key string, after int64, limit int, read func(after int64, limit int) ([]Item, error), yield func(Item, error) bool) {
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
