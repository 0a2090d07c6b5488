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

// Limits of the queue and of one batch. Events and bytes in a batch are limited, so that the first append of a batch
// does not wait long for the last.
const (
	queueLength = 1024
	batchEvents = 4 * eventlog.MaxAppendEvents
	batchBytes  = 4 * eventlog.MaxAppendBytes
)

// The delay before an append with an unknown outcome is sent again doubles from firstDelay to lastDelay. Half of it
// is random, so that servers do not retry at the same time.
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
	// taken is set by the writer when it takes the request, or by the caller if it stops waiting before that.
	taken atomic.Bool
	// abandoned is set by the caller when it stops waiting.
	abandoned atomic.Bool
	answer    chan answer

	// unknown is the time since which the outcome is unknown, and cause is the reason. If unknown is zero, the append
	// is not in the log.
	unknown time.Time
	cause   error
}

type answer struct {
	appended eventlog.Appended
	err      error
}

// newRequest computes the checksums in the goroutine of the caller.
func newRequest(stream string, expected eventlog.Revision, events []eventlog.Event) *request {
	r := &request{stream: stream, expected: expected, events: events, answer: make(chan answer, 1)}
	for i, event := range events {
		r.checksums = append(r.checksums, eventlog.Checksum(stream, expected+1+eventlog.Revision(i), event))
		r.bytes += len(event.Data)
	}
	return r
}

// writer is the only goroutine of a process that appends to the log.
type writer struct {
	log     *Log
	pool    *pgxpool.Pool // one connection, which readers cannot use
	queue   chan *request
	stop    chan struct{}
	stopped chan struct{}
	taken   atomic.Int64 // number of appends taken from the queue
	batches atomic.Int64 // number of batches they formed
	lost    atomic.Int64 // number of appends whose answer was lost

	// The following fields are used only by the goroutine. pending are the first appends of the next batch: those to
	// check again and those with an unknown outcome.
	pending  []*request
	failures int // consecutive failures
}

func startWriter(l *Log, config *pgxpool.Config) (*writer, error) {
	config = config.Copy()
	config.MaxConns, config.MinConns, config.MinIdleConns = 1, 0, 0
	pool, err := pgxpool.NewWithConfig(context.Background(), config)
	if err != nil {
		return nil, err
	}
	w := &writer{log: l, pool: pool, queue: make(chan *request, queueLength), stop: make(chan struct{}),
		stopped: make(chan struct{})}
	go w.run()
	return w, nil
}

// append passes r to the goroutine and waits for the answer.
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
	r.abandoned.Store(true)
	select {
	case a := <-r.answer:
		return a.appended, a.err
	default:
		return eventlog.Appended{}, fmt.Errorf("%w: %w", eventlog.ErrUnknownOutcome, left)
	}
}

// close ends the goroutine after its current batch.
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

// ready waits until an append is pending. It returns false when the writer is stopped. If the server failed and
// appends with an unknown outcome are pending, it waits for the retry delay.
func (w *writer) ready() bool {
	var first chan *request
	var retry <-chan time.Time
	switch {
	case len(w.pending) == 0:
		first = w.queue
	case w.failures > 0:
		retry = time.After(delay(w.failures))
	default:
		retry = now
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
	case <-retry:
	}
	return true
}

// now is a channel that can always be received from.
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

// take makes r pending unless its caller has stopped waiting.
func (w *writer) take(r *request) {
	if r.taken.CompareAndSwap(false, true) {
		w.pending = append(w.pending, r)
		w.taken.Add(1)
	}
}

// gather returns the pending and the waiting appends without waiting for more. It first yields to the goroutines that
// the last batch woke, as long as more appends arrive: a small batch costs nearly as much as a large one.
func (w *writer) gather() []*request {
	for n := -1; n < len(w.queue); {
		n = len(w.queue)
		runtime.Gosched()
	}
	events, bytes := 0, 0
	for n := 0; ; {
		for ; n < len(w.pending); n++ {
			events += len(w.pending[n].events)
			bytes += w.pending[n].bytes
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
	batch := w.pending
	w.pending = nil
	w.batches.Add(1)
	return batch
}

// write sends batch to the server once and answers the appends whose result is known.
func (w *writer) write(batch []*request) {
	batch = w.awaited(batch)
	if len(batch) == 0 {
		return
	}
	replies, err := w.send(batch)
	if err != nil {
		w.failed(batch, err)
		return
	}
	if w.failures > 0 {
		w.log.config.Logger.Info("log is writable again", zap.String("log", w.log.name), zap.Int("failures", w.failures))
		w.failures = 0
	}
	for i, r := range batch {
		if replies[i].retry(r) {
			w.pending = append(w.pending, r)
			continue
		}
		r.answer <- replies[i].result(r)
	}
}

// awaited returns the appends of batch whose callers still wait. It answers those whose outcome has been unknown for
// too long.
func (w *writer) awaited(batch []*request) []*request {
	waiting := batch[:0]
	for _, r := range batch {
		switch {
		case r.abandoned.Load():
		case !r.unknown.IsZero() && time.Since(r.unknown) > w.log.config.RetryTimeout:
			r.answer <- answer{err: fmt.Errorf("%w: %w", eventlog.ErrUnknownOutcome, r.cause)}
		default:
			waiting = append(waiting, r)
		}
	}
	return waiting
}

// send sends batch to the server in one round trip and one transaction. It returns replies only if the server has
// confirmed the commit.
func (w *writer) send(batch []*request) ([]reply, error) {
	ctx, cancel := context.WithTimeout(context.Background(), w.log.config.Timeout)
	defer cancel()
	conn, err := w.pool.Acquire(ctx)
	if err != nil {
		return nil, &notSent{err}
	}
	defer conn.Release()
	return scanReplies(conn.QueryRow(ctx, w.log.queries.append, arguments(w.log.id, batch)...), batch)
}

// failed answers the appends that are certainly not in the log, and retains the others for a retry.
func (w *writer) failed(batch []*request, err error) {
	if w.failures++; w.failures == 1 {
		w.log.config.Logger.Error("could not write to the log", zap.String("log", w.log.name),
			zap.Error(err))
	}
	cause, uncertain := explain(err), mayBeStored(err)
	for _, r := range batch {
		if uncertain && r.unknown.IsZero() {
			r.unknown = time.Now()
			w.lost.Add(1)
		}
		if r.unknown.IsZero() {
			r.answer <- answer{err: cause}
			continue
		}
		r.cause = cause
		w.pending = append(w.pending, r)
	}
}
