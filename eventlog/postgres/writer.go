package postgres

import (
	"context"
	"fmt"
	"math/rand/v2"
	"runtime"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"go.uber.org/zap"

	"github.com/droverhq/drover/eventlog"
)

// Bounds of the queue and of one batch. A batch is bounded in events and bytes, so that
// the answer to its first append does not wait long for its last.
const (
	queueLength = 1024
	batchEvents = 4 * eventlog.MaxAppendEvents
	batchBytes  = 4 * eventlog.MaxAppendBytes
)

// The delay before an append of unknown outcome is asked for again doubles from the one
// to the other; half of it is left to chance, so that servers do not come back at once.
const (
	firstDelay = 50 * time.Millisecond
	lastDelay  = time.Second
)

// request is one append on its way through the writer.
type request struct {
	stream    string
	expected  eventlog.Revision
	events    []eventlog.Event
	checksums []string
	bytes     int
	// taken is set by the writer when it begins, or by the caller when it leaves before.
	taken atomic.Bool
	// left is set by a caller who waits no longer.
	left   atomic.Bool
	answer chan answer

	// Since when the writer does not know whether it is in the log, and why. Zero: it is not.
	unknown time.Time
	cause   error
}

type answer struct {
	appended eventlog.Appended
	err      error
}

// newRequest does what can be done in the caller's own goroutine.
func newRequest(stream string, expected eventlog.Revision, events []eventlog.Event) *request {
	r := &request{stream: stream, expected: expected, events: events, answer: make(chan answer, 1)}
	for i, event := range events {
		r.checksums = append(r.checksums, eventlog.Checksum(stream, expected+1+eventlog.Revision(i), event))
		r.bytes += len(event.Data)
	}
	return r
}

// writer is the one goroutine of a process that appends to the log.
type writer struct {
	log     *Log
	pool    *pgxpool.Pool // of one connection, which no reader can keep from it
	queue   chan *request
	stop    chan struct{}
	stopped chan struct{}
	taken   atomic.Int64 // appends taken off the queue since the start
	batches atomic.Int64 // that they formed
	doubted atomic.Int64 // of these, those whose answer was lost

	// What follows belongs to the goroutine. held are the appends that come first in the
	// next batch: those to be judged again and those of unknown outcome.
	held     []*request
	failures int // since the last answer of the server
}

func startWriter(l *Log, config *pgxpool.Config) (*writer, error) {
	config = config.Copy()
	config.MaxConns, config.MinConns, config.MinIdleConns = 1, 0, 0
	pool, err := pgxpool.NewWithConfig(context.Background(), config)
	if err != nil {
		return nil, err
	}
	w := &writer{log: l, pool: pool, queue: make(chan *request, queueLength), stop: make(chan struct{}), stopped: make(chan struct{})}
	go w.run()
	return w, nil
}

// append hands r to the goroutine and waits for its answer.
func (w *writer) append(ctx context.Context, r *request) (eventlog.Appended, error) {
	select {
	case w.queue <- r:
	case <-ctx.Done():
		return eventlog.Appended{}, ctx.Err()
	case <-w.stop:
		return eventlog.Appended{}, eventlog.ErrClosed
	}
	var left error
	select {
	case a := <-r.answer:
		return a.appended, a.err
	case <-ctx.Done():
		left = ctx.Err()
	case <-w.stopped:
		left = eventlog.ErrClosed
	}
	if r.taken.CompareAndSwap(false, true) {
		return eventlog.Appended{}, left
	}
	r.left.Store(true)
	select {
	case a := <-r.answer:
		return a.appended, a.err
	default:
		return eventlog.Appended{}, fmt.Errorf("%w: %w", eventlog.ErrUnknownOutcome, left)
	}
}

// close ends the goroutine after the batch it works on.
func (w *writer) close() {
	close(w.stop)
	<-w.stopped
	w.pool.Close()
}

func (w *writer) run() {
	defer close(w.stopped)
	for w.ready() {
		w.write(w.gather())
	}
}

// ready waits until an append is held, and says false once the writer was stopped. Where
// the server failed and appends of unknown outcome are held, they wait for a while.
func (w *writer) ready() bool {
	var first chan *request
	var again <-chan time.Time
	switch {
	case len(w.held) == 0:
		first = w.queue
	case w.failures > 0:
		again = time.After(delay(w.failures))
	default:
		again = now
	}
	select {
	case <-w.stop:
		return false
	default:
	}
	select {
	case <-w.stop:
		return false
	case r := <-first:
		w.take(r)
	case <-again:
	}
	return true
}

// now is ready at once.
var now = func() <-chan time.Time {
	c := make(chan time.Time)
	close(c)
	return c
}()

func delay(failures int) time.Duration {
	d := lastDelay
	if failures < 6 {
		d = min(d, firstDelay<<(failures-1))
	}
	return d/2 + rand.N(d/2)
}

// take holds r unless its caller has left.
func (w *writer) take(r *request) {
	if r.taken.CompareAndSwap(false, true) {
		w.held = append(w.held, r)
		w.taken.Add(1)
	}
}

// gather takes what is held and what waits, without waiting for more. It only lets the
// goroutines that the last batch woke run first, as long as that brings more: they append
// again, and a batch of a few costs nearly as much as one of all.
func (w *writer) gather() []*request {
	for n := -1; n < len(w.queue); {
		n = len(w.queue)
		runtime.Gosched()
	}
	events, bytes := 0, 0
	for n := 0; ; {
		for ; n < len(w.held); n++ {
			events += len(w.held[n].events)
			bytes += w.held[n].bytes
		}
		if events >= batchEvents || bytes >= batchBytes {
			break
		}
		select {
		case r := <-w.queue:
			w.take(r)
			continue
		default:
		}
		break
	}
	batch := w.held
	w.held = nil
	w.batches.Add(1)
	return batch
}

// write asks the server for batch once and answers the appends of which it then knows.
func (w *writer) write(batch []*request) {
	batch = w.awaited(batch)
	if len(batch) == 0 {
		return
	}
	replies, err := w.ask(batch)
	if err != nil {
		w.failed(batch, err)
		return
	}
	if w.failures > 0 {
		w.log.config.Logger.Info("log is written again", zap.String("log", w.log.name), zap.Int("failures", w.failures))
		w.failures = 0
	}
	for i, r := range batch {
		if replies[i].again(r) {
			w.held = append(w.held, r)
			continue
		}
		r.answer <- replies[i].judge(r)
	}
}

// awaited leaves out the appends whose callers have left, and those that were of unknown
// outcome for too long.
func (w *writer) awaited(batch []*request) []*request {
	kept := batch[:0]
	for _, r := range batch {
		switch {
		case r.left.Load():
		case !r.unknown.IsZero() && time.Since(r.unknown) > w.log.config.Patience:
			r.answer <- answer{err: fmt.Errorf("%w: %w", eventlog.ErrUnknownOutcome, r.cause)}
		default:
			kept = append(kept, r)
		}
	}
	return kept
}

// ask sends batch to the server in one round trip, which is one transaction. It returns
// replies only when the server has said that the transaction is committed.
func (w *writer) ask(batch []*request) ([]reply, error) {
	ctx, cancel := context.WithTimeout(context.Background(), w.log.config.Timeout)
	defer cancel()
	conn, err := w.pool.Acquire(ctx)
	if err != nil {
		return nil, &unsent{err}
	}
	defer conn.Release()
	return scanReplies(conn.QueryRow(ctx, w.log.queries.append, arguments(w.log.id, batch)...), batch)
}

// failed answers the appends that are not in the log for sure, and holds the others until
// they can be asked for again.
func (w *writer) failed(batch []*request, err error) {
	if w.failures++; w.failures == 1 {
		w.log.config.Logger.Error("log stops writing until an append succeeds", zap.String("log", w.log.name), zap.Error(err))
	}
	cause, doubt := explain(err), sent(err)
	for _, r := range batch {
		if doubt && r.unknown.IsZero() {
			r.unknown = time.Now()
			w.doubted.Add(1)
		}
		if r.unknown.IsZero() {
			r.answer <- answer{err: cause}
			continue
		}
		r.cause = cause
		w.held = append(w.held, r)
	}
}
