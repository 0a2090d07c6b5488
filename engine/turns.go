package engine

import (
	"context"
	"fmt"
	"slices"
	"sync"
)

// turns lets the commands of this server for one stream run one after the other. Without it they would be decided on
// the same fold, and the log would accept one append and refuse all others. A turn saves work; it does not make a
// command safe. That is done by the expected revision of its append, because other servers append to the stream too.
//
// The commands that RemovesPower selects go first. Within each of the two classes the order is that of arrival.
type turns struct {
	mu     sync.Mutex
	queues map[string]*queue // by stream whose turn is taken; nil: nobody waits
	off    bool              // every turn is free; only benchmarks set it
}

// queue holds the callers that wait for the turn of one stream.
type queue struct {
	urgent, others []*waiter
}

// waiter is one caller in a queue.
type waiter struct {
	granted chan struct{} // closed when it has the turn
	point   ReadPoint     // of the turn before; set before granted is closed
}

// maxWaiting bounds each class of a queue. At 1 ms per append, the last of them waits a few seconds, which is less than
// the timeout of a request.
const maxWaiting = 4096

func newTurns() turns { return turns{queues: map[string]*queue{}} }

// Busy is the error of a command that did not get a turn. It was not executed.
type Busy struct {
	Stream string
	// Waiting is the number of commands that were waiting for the stream.
	Waiting int
	// Err is the error of the context that ended while the command waited; nil if the queue was full.
	Err error
}

// Error describes the queue.
func (b *Busy) Error() string {
	if b.Err != nil {
		return fmt.Sprintf("waited too long for a turn to write to stream %s: %s", b.Stream, b.Err)
	}
	return fmt.Sprintf("%d commands are waiting to write to stream %s on this server", b.Waiting, b.Stream)
}

// Unwrap returns the error of the context.
func (b *Busy) Unwrap() error { return b.Err }

// take waits for the turn of a stream. The caller must pass it on with end. point is 0 if the caller did not wait. Else
// a read of the log after point sees what earlier turns appended.
func (t *turns) take(ctx context.Context, stream string, urgent bool) (point ReadPoint, err error) {
	w, err := t.join(stream, urgent)
	if w == nil {
		return 0, err
	}
	return t.await(ctx, stream, w)
}

// await waits until w is granted the turn. If ctx ends first, w leaves the queue.
func (t *turns) await(ctx context.Context, stream string, w *waiter) (ReadPoint, error) {
	select {
	case <-w.granted:
		return w.point, nil
	case <-ctx.Done():
		waiting, left := t.leave(stream, w)
		if !left {
			t.end(stream, w.point) // the turn was granted at this moment
		}
		return 0, &Busy{Stream: stream, Waiting: waiting, Err: ctx.Err()}
	}
}

// join takes the turn of a stream if it is free. Otherwise it returns a new waiter, or *Busy if the queue is full.
func (t *turns) join(stream string, urgent bool) (*waiter, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	q, taken := t.queues[stream]
	switch {
	case !taken || t.off:
		t.queues[stream] = nil
		return nil, nil
	case q == nil:
		q = &queue{}
		t.queues[stream] = q
	}
	class := q.class(urgent)
	if len(*class) >= maxWaiting {
		return nil, &Busy{Stream: stream, Waiting: q.waiting()}
	}
	w := &waiter{granted: make(chan struct{})}
	*class = append(*class, w)
	return w, nil
}

// leave removes a waiter. It returns false if the waiter has been granted the turn.
func (t *turns) leave(stream string, w *waiter) (waiting int, left bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	q := t.queues[stream]
	waiting = q.waiting()
	for _, class := range []*[]*waiter{&q.urgent, &q.others} {
		if i := slices.Index(*class, w); i >= 0 {
			*class = slices.Delete(*class, i, i+1)
			return waiting, true
		}
	}
	return waiting, false
}

// end passes the turn of a stream on. point is a read point after the caller's append.
func (t *turns) end(stream string, point ReadPoint) {
	t.mu.Lock()
	defer t.mu.Unlock()
	next := t.queues[stream].next()
	if next == nil {
		delete(t.queues, stream)
		return
	}
	next.point = point
	close(next.granted)
}

// Waiting returns the number of commands that wait for their turn.
func (e *Engine) Waiting() int { return e.turns.waiting() }

// waiting returns the number of waiters on all streams.
func (t *turns) waiting() (n int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, q := range t.queues {
		n += q.waiting()
	}
	return n
}

func (q *queue) waiting() int {
	if q == nil {
		return 0
	}
	return len(q.urgent) + len(q.others)
}

func (q *queue) class(urgent bool) *[]*waiter {
	if urgent {
		return &q.urgent
	}
	return &q.others
}

// next removes and returns the waiter whose turn it is, or nil.
func (q *queue) next() *waiter {
	if q == nil {
		return nil
	}
	class := q.class(len(q.urgent) > 0)
	if len(*class) == 0 {
		return nil
	}
	w := (*class)[0]
	(*class)[0] = nil // so that the array does not keep it
	*class = (*class)[1:]
	return w
}

// takeTurns waits a moment for other servers and then takes the turns of streams in which decisions conflicted, so that
// commands of this server do not conflict with them again. The caller holds deciding, so nobody else waits for a turn
// while holding another. end ends the turns.
func (e *Engine) takeTurns(ctx context.Context, streams []string) (end func(), err error) {
	taken := 0
	end = func() {
		for _, stream := range streams[:taken] {
			e.turns.end(stream, e.ReadPoint())
		}
	}
	if len(streams) > 0 {
		err = e.pause(ctx)
	}
	for ; err == nil && taken < len(streams); taken++ {
		if _, err = e.turns.take(ctx, streams[taken], true); err != nil {
			break
		}
	}
	if err != nil {
		end()
	}
	return end, err
}

// conflicting returns the streams of the plans that are not among done, which contains the first plans of each stream.
func conflicting(plans, done []plan) (streams []string) {
	appended := map[string]int{}
	for _, p := range done {
		appended[p.stream]++
	}
	for _, p := range plans {
		appended[p.stream]--
		if appended[p.stream] == -1 { // the first one that is missing
			streams = append(streams, p.stream)
		}
	}
	return streams
}
