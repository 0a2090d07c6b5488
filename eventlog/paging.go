package eventlog

import (
	"context"
	"fmt"
)

// page is some events, and what ended the read behind the last of them.
type page struct {
	events []Recorded
	err    error
}

// ReadAhead yields page after page for a backend; next returns the events of one, and whether there may be more.
// While the consumer works on one page the next is read and checked, so that a long replay uses two cores and no
// transaction waits for the consumer. Nothing of the read outlives the call.
func ReadAhead(ctx context.Context, next func(context.Context) (events []Recorded, more bool, err error), yield func(Recorded, error) bool) {
	reading, stop := context.WithCancel(ctx)
	pages := fetch(reading, next)
	defer func() {
		stop()
		for range pages {
		}
	}()
	for page := range pages {
		for _, event := range page.events {
			if err := ctx.Err(); err != nil {
				page.err = err
				break
			}
			if !yield(event, nil) {
				return
			}
		}
		if page.err != nil {
			yield(Recorded{}, page.err)
			return
		}
	}
}

// fetch reads one page ahead of its consumer, who must receive all of them.
func fetch(ctx context.Context, next func(context.Context) ([]Recorded, bool, error)) <-chan page {
	pages := make(chan page)
	go func() {
		defer close(pages)
		for more := true; more; {
			var p page
			p.events, more, p.err = next(ctx)
			more = more && p.err == nil
			pages <- p
		}
	}()
	return pages
}

// chunkPage is how many chunks a read holds in memory, at most 1 MiB.
const chunkPage = 16

// ReadChunks yields the chunks of machine above sequence after for a backend; read returns at most limit of them, in order.
func ReadChunks(machine string, after int64, limit int, read func(after int64, limit int) ([]Chunk, error), yield func(Chunk, error) bool) {
	err := CheckLimit(limit)
	done := 0
	for more := err == nil; more; {
		want := chunkPage
		if limit > 0 {
			want = min(want, limit-done)
		}
		var chunks []Chunk
		if chunks, err = read(after, want); err != nil {
			break
		}
		for _, chunk := range chunks {
			if !yield(chunk, nil) {
				return
			}
			after = chunk.Sequence
		}
		done += len(chunks)
		more = len(chunks) == want && done != limit
	}
	if err != nil {
		yield(Chunk{}, fmt.Errorf("read output of %s: %w", machine, err))
	}
}
