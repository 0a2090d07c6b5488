package sqlite

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
	"go.uber.org/zap"

	"github.com/droverhq/drover/eventlog"
)

// Bounds of the queue and of one commit. A batch is bounded in rows, so that the answer
// to its first append does not wait long for its last.
const (
	queueLength = 1024
	batchRows   = 4 * eventlog.MaxAppendEvents
)

// request is one change of the file on its way through the writer.
type request struct {
	change
	rows int
	// taken is set by the writer when it begins, or by the caller when it leaves before.
	taken  atomic.Bool
	answer chan answer
}

// change is what a request asks for.
type change interface {
	// judge answers the change on what those before it left, and makes it where it fits. The error is one of SQLite,
	// never the refusal of this change.
	judge(c *conn) (answer, error)
}

type answer struct {
	appended eventlog.Appended
	err      error
	// written says that the change wrote something, erased that it deleted what must not be left in the write-ahead log.
	written, erased bool
}

func newRequest(c change, rows int) *request {
	return &request{change: c, rows: rows, answer: make(chan answer, 1)}
}

// addition is an append.
type addition struct {
	stream   string
	expected eventlog.Revision
	events   []eventlog.Event
	rows     []row
}

// newAddition does what needs no lock in the caller's own goroutine.
func newAddition(stream string, expected eventlog.Revision, events []eventlog.Event) *addition {
	a := &addition{stream: stream, expected: expected, events: events, rows: make([]row, len(events))}
	for i, event := range events {
		a.rows[i] = encode(stream, expected+1+eventlog.Revision(i), event)
	}
	return a
}

// writer is the one goroutine of a process that writes to the file.
type writer struct {
	path    string
	config  Config
	queue   chan *request
	stop    chan struct{}
	stopped chan struct{}
	taken   atomic.Int64 // requests taken off the queue since the start

	// conn belongs to the goroutine; it is nil after an error, until a request opens it anew.
	conn *conn
	// unemptied says that the write-ahead log may still hold what was erased, eraseAt when that is to be looked after. They
	// belong to the goroutine.
	unemptied bool
	eraseAt   time.Time
}

// startWriter opens the connection and starts the goroutine. It first empties the
// write-ahead log: the process before this one may have died of a failed fsync, after
// which the kernel still shows what it will never write, and SQLite takes that for
// committed. Where others keep the log busy they have it open, and nothing of that kind
// is in it. A log that cannot be emptied can still be read.
func startWriter(ctx context.Context, path string, config Config) (*writer, error) {
	opened, err := openConn(ctx, path, config.synchronous)
	if err != nil {
		return nil, err
	}
	w := &writer{
		path: path, config: config, conn: opened,
		queue: make(chan *request, queueLength), stop: make(chan struct{}), stopped: make(chan struct{}),
	}
	if _, err := opened.empty(); err != nil {
		w.fail(err)
	}
	go w.run()
	return w, nil
}

// fail closes the connection; the next request opens it anew.
func (w *writer) fail(cause error) {
	w.config.Logger.Error("log stops writing until an append succeeds", zap.String("log", w.path), zap.Error(cause))
	if err := w.disconnect(); err != nil {
		w.config.Logger.Warn("log connection was not closed cleanly", zap.String("log", w.path), zap.Error(err))
	}
}

// do hands r to the goroutine and waits for its answer.
func (w *writer) do(ctx context.Context, r *request) (eventlog.Appended, error) {
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
	select {
	case a := <-r.answer:
		return a.appended, a.err
	default:
		return eventlog.Appended{}, fmt.Errorf("%w: %w", eventlog.ErrUnknownOutcome, left)
	}
}

// close ends the goroutine after the batch it works on.
func (w *writer) close() error {
	close(w.stop)
	<-w.stopped
	w.eraseAt = time.Time{}
	w.erase()
	return w.disconnect()
}

func (w *writer) run() {
	defer close(w.stopped)
	for {
		select {
		case <-w.stop:
			return
		default:
		}
		var again <-chan time.Time
		if w.unemptied {
			again = time.After(time.Until(w.eraseAt))
		}
		select {
		case <-w.stop:
			return
		case first := <-w.queue:
			w.write(w.gather(first))
		case <-again:
			w.erase()
		}
	}
}

// eraseAgain is how long the writer waits before it tries again to erase what others kept it from erasing. It must not try
// after each append: a backup may be in the way for minutes.
const eraseAgain = time.Second

// erase empties the write-ahead log if it may hold what was erased from the file, as far as no other connection is in
// the way.
func (w *writer) erase() {
	if !w.unemptied || time.Now().Before(w.eraseAt) {
		return
	}
	busy, err := w.conn.tryEmpty()
	w.eraseAt = time.Now().Add(eraseAgain)
	if err != nil {
		w.fail(err)
		return
	}
	w.unemptied = busy
}

// gather takes what waits, without waiting for more.
func (w *writer) gather(first *request) []*request {
	var batch []*request
	rows := 0
	for next := first; ; {
		if next.taken.CompareAndSwap(false, true) {
			batch = append(batch, next)
			w.taken.Add(1)
			rows += next.rows
		}
		if rows >= batchRows {
			return batch
		}
		select {
		case next = <-w.queue:
		default:
			return batch
		}
	}
}

// write makes batch durable with one commit and answers each of its requests.
func (w *writer) write(batch []*request) {
	answers, err := w.transact(batch)
	if err != nil {
		w.fail(err)
	}
	for i, r := range batch {
		if err != nil {
			r.answer <- answer{err: err}
			continue
		}
		r.answer <- answers[i]
		w.unemptied = w.unemptied || answers[i].erased
	}
	w.erase()
}

// transact returns the answer to each request of batch once they are durable. An error is
// the answer to all of them: none was acknowledged, and a conflict with an append of the
// same batch proves nothing.
func (w *writer) transact(batch []*request) ([]answer, error) {
	if err := w.reconnect(); err != nil {
		return nil, explain(err)
	}
	if err := w.conn.start(); err != nil {
		return nil, explain(err)
	}
	written := false
	answers := make([]answer, len(batch))
	for i, r := range batch {
		var err error
		if answers[i], err = r.judge(w.conn); err != nil {
			return nil, explain(err)
		}
		written = written || answers[i].written
	}
	if !written {
		return answers, explain(w.conn.undo.exec())
	}
	if err := w.conn.commit.exec(); err != nil {
		return nil, explainCommit(err)
	}
	return answers, nil
}

func (a *addition) judge(c *conn) (answer, error) {
	actual, err := c.lastOf(a.stream)
	if err != nil {
		return answer{}, err
	}
	var stored []uuid.UUID
	var position eventlog.Position
	if a.expected < actual {
		if stored, position, err = c.idsAfter(a.stream, a.expected, len(a.events)); err != nil {
			return answer{}, err
		}
	}
	repeat, refusal := eventlog.IsRepeat(a.stream, a.expected, actual, a.events, stored)
	if refusal != nil {
		return answer{err: refusal}, nil //nolint:nilerr // the refusal is the answer
	}
	if !repeat {
		if err := c.append(a.stream, a.expected, a.rows); err != nil {
			return answer{}, err
		}
		position = c.head
	}
	last := a.expected + eventlog.Revision(len(a.rows))
	return answer{appended: eventlog.Appended{Revision: last, Position: position, Repeat: repeat}, written: !repeat}, nil
}

// reconnect opens the file anew after an error, and first empties the write-ahead log,
// for the reason that startWriter has.
func (w *writer) reconnect() error {
	if w.conn != nil {
		return nil
	}
	opened, err := openConn(context.Background(), w.path, w.config.synchronous)
	if err != nil {
		return err
	}
	busy, err := opened.empty()
	if err == nil && busy {
		err = fmt.Errorf("%w: another process keeps its write-ahead log busy", eventlog.ErrUnavailable)
	}
	if err != nil {
		return errors.Join(err, opened.close())
	}
	w.conn = opened
	w.config.Logger.Info("log opened anew for writing", zap.String("log", w.path))
	return nil
}

// disconnect closes the connection, which also rolls back what it had begun. What was still to be erased is erased when it
// is opened anew.
func (w *writer) disconnect() error {
	if w.conn == nil {
		return nil
	}
	closing := w.conn
	w.conn, w.unemptied = nil, false
	return closing.close()
}
