package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"sync/atomic"

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

// request is one append on its way through the writer.
type request struct {
	stream   string
	expected eventlog.Revision
	events   []eventlog.Event
	rows     []row
	// taken is set by the writer when it begins, or by the caller when it leaves before.
	taken  atomic.Bool
	answer chan answer
}

type answer struct {
	appended eventlog.Appended
	err      error
}

// newRequest does what needs no lock in the caller's own goroutine.
func newRequest(stream string, expected eventlog.Revision, events []eventlog.Event) *request {
	r := &request{stream: stream, expected: expected, events: events, answer: make(chan answer, 1)}
	r.rows = make([]row, len(events))
	for i, event := range events {
		r.rows[i] = encode(stream, expected+1+eventlog.Revision(i), event)
	}
	return r
}

// writer is the one goroutine of a process that writes to the file.
type writer struct {
	path    string
	config  Config
	queue   chan *request
	stop    chan struct{}
	stopped chan struct{}

	// What follows belongs to the goroutine alone once it runs.
	db     *sql.DB // nil after an error, until an append opens it anew
	conn   *sql.Conn
	begin  *sql.Stmt
	commit *sql.Stmt
	undo   *sql.Stmt
	head   *sql.Stmt
	last   *sql.Stmt
	ids    *sql.Stmt
	insert *sql.Stmt
}

func newWriter(path string, config Config) *writer {
	return &writer{
		path: path, config: config,
		queue: make(chan *request, queueLength), stop: make(chan struct{}), stopped: make(chan struct{}),
	}
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
	return w.disconnect()
}

func (w *writer) run() {
	defer close(w.stopped)
	for {
		select {
		case <-w.stop:
			return
		case first := <-w.queue:
			w.write(w.gather(first))
		}
	}
}

// gather takes what waits, without waiting for more.
func (w *writer) gather(first *request) []*request {
	var batch []*request
	rows := 0
	for next := first; ; {
		if next.taken.CompareAndSwap(false, true) {
			batch = append(batch, next)
			rows += len(next.rows)
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

// write makes batch durable with one commit and answers each of its appends.
func (w *writer) write(batch []*request) {
	answers, err := w.transact(batch)
	if err != nil {
		w.config.Logger.Error("log stops writing until an append succeeds", zap.String("log", w.path), zap.Error(err))
		if err := w.disconnect(); err != nil {
			w.config.Logger.Warn("log connection was not closed cleanly", zap.String("log", w.path), zap.Error(err))
		}
	}
	for i, r := range batch {
		if err != nil {
			r.answer <- answer{err: err}
			continue
		}
		r.answer <- answers[i]
	}
}

// transact returns the answer to each append of batch once they are durable. An error is
// the answer to all of them: none was acknowledged, and a conflict with an append of the
// same batch proves nothing.
func (w *writer) transact(batch []*request) ([]answer, error) {
	ctx := context.Background()
	if err := w.reconnect(ctx); err != nil {
		return nil, explain(err)
	}
	if _, err := w.begin.ExecContext(ctx); err != nil {
		return nil, explain(err)
	}
	answers, inserted, err := w.judgeAll(ctx, batch)
	if err != nil || inserted == 0 {
		_, undone := w.undo.ExecContext(ctx)
		return answers, explain(errors.Join(err, undone))
	}
	if _, err := w.commit.ExecContext(ctx); err != nil {
		return nil, explainCommit(err)
	}
	return answers, nil
}

// judgeAll judges and inserts one append after the other, each on what the ones before
// it left.
func (w *writer) judgeAll(ctx context.Context, batch []*request) (answers []answer, inserted int, err error) {
	var head eventlog.Position
	if err := w.head.QueryRowContext(ctx).Scan(&head); err != nil {
		return nil, 0, err
	}
	start := head
	answers = make([]answer, len(batch))
	for i, r := range batch {
		repeat, err := w.judge(ctx, r)
		var refused *eventlog.Conflict
		switch {
		case errors.As(err, &refused):
			answers[i] = answer{err: err}
		case err != nil:
			return nil, 0, err
		case repeat != nil:
			answers[i] = answer{appended: *repeat}
		default:
			if err := w.insertAll(ctx, r, head); err != nil {
				return nil, 0, err
			}
			head += eventlog.Position(len(r.rows))
			answers[i] = answer{appended: eventlog.Appended{Revision: r.expected + eventlog.Revision(len(r.rows)), Position: head}}
		}
	}
	return answers, int(head - start), nil
}

// judge returns the first result of a repeat, nil for a new append, or *Conflict.
func (w *writer) judge(ctx context.Context, r *request) (*eventlog.Appended, error) {
	var actual eventlog.Revision
	if err := w.last.QueryRowContext(ctx, r.stream).Scan(&actual); err != nil {
		return nil, err
	}
	var stored []uuid.UUID
	var position eventlog.Position
	if r.expected < actual {
		var err error
		if stored, position, err = w.idsAfter(ctx, r); err != nil {
			return nil, err
		}
	}
	repeat, err := eventlog.Judge(r.stream, r.expected, actual, r.events, stored)
	if err != nil || !repeat {
		return nil, err
	}
	return &eventlog.Appended{Revision: r.expected + eventlog.Revision(len(r.events)), Position: position, Repeat: true}, nil
}

// idsAfter returns the ids that stand where r would have put its own, and the position
// of the last of them.
func (w *writer) idsAfter(ctx context.Context, r *request) (ids []uuid.UUID, last eventlog.Position, err error) {
	rows, err := w.ids.QueryContext(ctx, r.stream, r.expected, len(r.events))
	if err != nil {
		return nil, 0, err
	}
	defer rows.Close()
	for rows.Next() {
		var id uuid.UUID
		if err := rows.Scan(&id, &last); err != nil {
			return nil, 0, err
		}
		ids = append(ids, id)
	}
	return ids, last, rows.Err()
}

func (w *writer) insertAll(ctx context.Context, r *request, head eventlog.Position) error {
	for i, e := range r.rows {
		_, err := w.insert.ExecContext(ctx, int64(head)+int64(i)+1, r.stream, int64(r.expected)+int64(i)+1,
			e.id, e.typ, e.time, e.command, e.causes, e.data, e.checksum)
		if err != nil {
			return err
		}
	}
	return nil
}

// reconnect opens the file anew after an error. It first moves the write-ahead log into
// the file, with an fsync of both, and empties it: the kernel forgets a page whose fsync
// failed, and what is acknowledged from now on must not depend on such a page.
func (w *writer) reconnect(ctx context.Context) error {
	if w.db != nil {
		return nil
	}
	if err := w.connect(ctx); err != nil {
		return errors.Join(err, w.disconnect())
	}
	var busy, frames, moved int
	err := w.conn.QueryRowContext(ctx, `PRAGMA wal_checkpoint(TRUNCATE)`).Scan(&busy, &frames, &moved)
	if err == nil && busy != 0 {
		err = fmt.Errorf("%w: another process reads while its write-ahead log is to be emptied", eventlog.ErrUnavailable)
	}
	if err != nil {
		return errors.Join(err, w.disconnect())
	}
	w.config.Logger.Info("log opened anew for writing", zap.String("log", w.path))
	return nil
}

// connect opens the connection and proves, by taking the lock once, that it may write.
func (w *writer) connect(ctx context.Context) (err error) {
	w.db, err = connect(w.path, "_pragma=journal_mode(WAL)", "_pragma=synchronous("+w.config.synchronous+")",
		"_pragma=journal_size_limit(67108864)")
	if err != nil {
		return err
	}
	w.db.SetMaxOpenConns(1)
	if w.conn, err = w.db.Conn(ctx); err != nil {
		return err
	}
	for statement, query := range map[**sql.Stmt]string{
		&w.begin: `BEGIN IMMEDIATE`, &w.commit: `COMMIT`, &w.undo: `ROLLBACK`,
		&w.head: sqlHead, &w.last: sqlLast, &w.ids: sqlIDs, &w.insert: sqlInsert,
	} {
		if *statement, err = w.conn.PrepareContext(ctx, query); err != nil {
			return err
		}
	}
	if _, err := w.begin.ExecContext(ctx); err != nil {
		return err
	}
	_, err = w.undo.ExecContext(ctx)
	return err
}

// disconnect closes the connection, which also rolls back what it had begun.
func (w *writer) disconnect() error {
	if w.db == nil {
		return nil
	}
	var err error
	if w.conn != nil {
		err = w.conn.Close()
	}
	err = errors.Join(err, w.db.Close())
	w.db, w.conn = nil, nil
	return err
}
