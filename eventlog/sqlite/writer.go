package sqlite

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
	"go.uber.org/zap"

	"github.com/droverhq/drover/eventlog"
)

// Limits of the queue and of one commit. The number of rows in a batch is limited, so that the first append of a
// batch does not wait long for the last.
const (
	queueLength = 1024
	batchRows   = 4 * eventlog.MaxAppendEvents
)

// request is one change on its way through the writer.
type request struct {
	change
	rows int
	// check forces a check of the log's files.
	check bool
	// taken is set by the writer when it takes the request, or by the caller if it stops waiting before that.
	taken  atomic.Bool
	answer chan answer
}

func (r *request) mustCheck() bool { return r.check }

// change is a modification of the file.
type change interface {
	// apply decides the change on the state that earlier changes left, and makes it if it is valid. A refusal is part of
	// the answer; the error is always from SQLite.
	apply(c *conn) (answer, error)
}

type answer struct {
	appended eventlog.Appended
	err      error
	// written means that the change wrote something. erased means that it deleted data that must not remain in the
	// write-ahead log.
	written, erased bool
}

func newRequest(c change, rows int) *request {
	return &request{change: c, rows: rows, answer: make(chan answer, 1)}
}

// appendChange is an append.
type appendChange struct {
	stream   string
	expected eventlog.Revision
	events   []eventlog.Event
	rows     []row
}

// newAppendChange encodes the events in the goroutine of the caller, outside the lock.
func newAppendChange(stream string, expected eventlog.Revision, events []eventlog.Event) *appendChange {
	a := &appendChange{stream: stream, expected: expected, events: events, rows: make([]row, len(events))}
	for i, event := range events {
		a.rows[i] = encode(stream, expected+1+eventlog.Revision(i), event)
	}
	return a
}

// writer is the only goroutine of a process that writes to the file.
type writer struct {
	path    string
	config  Config
	queue   chan *request
	stop    chan struct{}
	stopped chan struct{}
	taken   atomic.Int64 // number of requests taken from the queue
	place   atomic.Pointer[place]

	// checked is the time of the last check that found all files of the log, and saved means that the events of a deleted
	// write-ahead log were moved into the log. Both are used only by the goroutine.
	checked time.Time
	saved   bool
	// conn is used only by the goroutine. After an error it is nil until a request reopens it.
	conn *conn
	// erasePending means that the write-ahead log may still contain erased data, and eraseAt is the time of the next
	// attempt to empty it. Both are used only by the goroutine.
	erasePending bool
	eraseAt      time.Time
}

// startWriter opens the connection and starts the goroutine. It first empties the write-ahead log. The previous process
// may have died after a failed fsync. The kernel then still returns data that it will never write to disk, and SQLite
// treats this data as committed. If the write-ahead log cannot be emptied because other processes have the log open, it
// contains no such data, and the log can still be read.
func startWriter(ctx context.Context, path string, config Config) (*writer, error) {
	opened, err := openConn(ctx, path, config.synchronous)
	if err != nil {
		return nil, err
	}
	w := &writer{
		path: path, config: config, conn: opened,
		queue: make(chan *request, queueLength), stop: make(chan struct{}), stopped: make(chan struct{}),
	}
	if err := w.checkOpened(); err != nil {
		return nil, errors.Join(err, opened.close())
	}
	if _, err := opened.emptyWAL(); err != nil {
		w.fail(err)
	}
	go w.run()
	return w, nil
}

// fail closes the connection. The next request reopens it.
func (w *writer) fail(cause error) {
	w.config.Logger.Error("could not write to the log", zap.String("log", w.path), zap.Error(cause))
	if err := w.disconnect(); err != nil {
		w.config.Logger.Warn("could not close the log connection cleanly", zap.String("log", w.path), zap.Error(err))
	}
}

// do passes r to the goroutine and waits for the answer.
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

// close ends the goroutine after its current batch.
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
		var retry <-chan time.Time
		if w.erasePending {
			retry = time.After(time.Until(w.eraseAt))
		}
		select {
		case <-w.stop:
			return
		case first := <-w.queue:
			w.write(w.gather(first))
		case <-retry:
			w.erase()
		}
	}
}

// eraseInterval is the time between attempts to erase data while other connections prevent it. The writer must not
// try after each append, because a backup may run for minutes.
const eraseInterval = time.Second

// erase empties the write-ahead log if it may contain erased data and no other connection prevents it.
func (w *writer) erase() {
	if !w.erasePending || time.Now().Before(w.eraseAt) {
		return
	}
	busy, err := w.conn.tryEmptyWAL()
	w.eraseAt = time.Now().Add(eraseInterval)
	if err != nil {
		w.fail(err)
		return
	}
	w.erasePending = busy
}

// gather returns first and the waiting requests. It does not wait for more.
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

// write makes batch durable with one commit and answers each request.
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
		w.erasePending = w.erasePending || answers[i].erased
	}
	w.erase()
}

// transact returns the answer to each request after the commit. An error is the answer to all requests: none was
// acknowledged, and a conflict with an append of the same batch is not valid either.
func (w *writer) transact(batch []*request) ([]answer, error) {
	if time.Since(w.checked) > recheckAfter || slices.ContainsFunc(batch, (*request).mustCheck) {
		if err := w.checkPlace(len(parts)); err != nil && (w.conn != nil || w.place.Load().logMissing()) {
			return refuse(batch, err), nil
		}
	}
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
		if answers[i], err = r.apply(w.conn); err != nil {
			return nil, explain(err)
		}
		written = written || answers[i].written
	}
	if err := w.finish(written); err != nil {
		return nil, err
	}
	switch err := w.checkPlace(partsWithEvents); {
	case err != nil && written:
		return refuse(batch, fmt.Errorf("%w: %w", eventlog.ErrUnknownOutcome, err)), nil
	case err != nil: // a repeat must not be acknowledged either
		return refuse(batch, err), nil
	}
	return answers, nil
}

// finish ends the transaction.
func (w *writer) finish(written bool) error {
	if !written {
		return explain(w.conn.undo.exec())
	}
	if err := w.conn.commit.exec(); err != nil {
		return explainCommit(err)
	}
	return nil
}

func (a *appendChange) apply(c *conn) (answer, error) {
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
	repeat, conflict := eventlog.IsRepeat(a.stream, a.expected, actual, a.events, stored)
	if conflict != nil {
		return answer{err: conflict}, nil //nolint:nilerr // the conflict is the answer
	}
	if !repeat {
		if err := c.append(a.stream, a.expected, a.rows); err != nil {
			return answer{}, err
		}
		position = c.head
	}
	last := a.expected + eventlog.Revision(len(a.rows))
	return answer{appended: eventlog.Appended{Revision: last, Position: position, Repeat: repeat},
		written: !repeat}, nil
}

// reconnect reopens the file after an error. It first empties the write-ahead log, for the reason given at
// startWriter.
func (w *writer) reconnect() error {
	if w.conn != nil {
		return nil
	}
	opened, err := openConn(context.Background(), w.path, w.config.synchronous)
	if err != nil {
		return err
	}
	busy, err := opened.emptyWAL()
	if err == nil {
		err = w.checkOpened()
	}
	if err == nil && busy {
		err = fmt.Errorf("%w: another process is using the write-ahead log", eventlog.ErrUnavailable)
	}
	if err != nil {
		return errors.Join(err, opened.close())
	}
	w.conn = opened
	w.config.Logger.Info("log reopened for writing", zap.String("log", w.path))
	return nil
}

// disconnect closes the connection, which also rolls back its transaction. Data that still had to be erased is erased
// when the connection is reopened.
func (w *writer) disconnect() error {
	if w.conn == nil {
		return nil
	}
	closing := w.conn
	w.conn, w.erasePending = nil, false
	return closing.close()
}
