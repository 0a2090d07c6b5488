package sqlite

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"

	"github.com/droverhq/drover/eventlog"
)

// reader is a connection that only reads. A pool of database/sql lends it to one page at a time, but rows come from the
// driver itself, as those of conn do: on their way through database/sql each would cost a tenth more.
type reader struct {
	driver.Conn
	head, all, stream, items statement
}

// readersAt makes readers of the connections to a file.
type readersAt struct {
	driver.Connector
}

// openReaders returns a pool of at most n readers, and makes the first of them to see that it can be made.
func openReaders(ctx context.Context, path string, n int) (*sql.DB, error) {
	connector, err := connectorTo(path, "_query_only=1")
	if err != nil {
		return nil, err
	}
	readers := pool(readersAt{connector}, n)
	if err := readers.PingContext(ctx); err != nil {
		return nil, errors.Join(err, readers.Close())
	}
	return readers, nil
}

// Connect opens one and prepares its statements.
func (at readersAt) Connect(ctx context.Context) (driver.Conn, error) {
	opened, err := at.Connector.Connect(ctx)
	if err != nil {
		return nil, err
	}
	r := &reader{Conn: opened}
	for _, s := range []struct {
		statement *statement
		query     string
	}{{&r.head, sqlHead}, {&r.all, sqlAll}, {&r.stream, sqlStream}, {&r.items, sqlItems}} {
		prepared, err := opened.Prepare(s.query)
		if err != nil {
			return nil, errors.Join(err, r.Close())
		}
		s.statement.Stmt = prepared
	}
	return r, nil
}

// Close ends the statements with their connection, which SQLite would keep open for them.
func (r *reader) Close() error {
	var err error
	for _, s := range []statement{r.head, r.all, r.stream, r.items} {
		if s.Stmt != nil {
			err = errors.Join(err, s.Close())
		}
	}
	return errors.Join(err, r.Conn.Close())
}

// IsValid tells the pool to drop a connection that the driver has given up.
func (r *reader) IsValid() bool {
	judge, ok := r.Conn.(driver.Validator)
	return !ok || judge.IsValid()
}

// end is the position of the last event.
func (r *reader) end(ctx context.Context) (head eventlog.Position, err error) {
	err = r.head.eachUntil(ctx, func(found []driver.Value) error {
		n, _ := found[0].(int64)
		head = eventlog.Position(n)
		return nil
	})
	return head, err
}

// lend hands a reader to read once one is free.
func (l *Log) lend(ctx context.Context, read func(*reader) error) error {
	lent, err := l.readers.Conn(ctx)
	if err != nil {
		return err
	}
	err = lent.Raw(func(connection any) error { return read(connection.(*reader)) }) //nolint:forcetypeassert // the pool makes readers
	return errors.Join(err, lent.Close())
}
