package sqlite

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/droverhq/drover/eventlog"
)

// reader is a connection that only reads. A pool of database/sql provides it for one page at a time. Rows come directly
// from the driver, as they do for conn, because database/sql would make each row about 10 % more expensive.
type reader struct {
	driver.Conn
	head, all, stream, items, format statement
}

// readersAt is a connector whose connections are readers of one file.
type readersAt struct {
	driver.Connector
	path string
	file fs.FileInfo
}

// openReaders returns a pool of at most n readers. It opens the first one to detect errors early.
func openReaders(ctx context.Context, path string, n int) (*sql.DB, error) {
	connector, err := connectorTo(path, "_query_only=1")
	if err != nil {
		return nil, err
	}
	file, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	readers := pool(readersAt{connector, path, file}, n)
	if err := readers.PingContext(ctx); err != nil {
		return nil, errors.Join(err, readers.Close())
	}
	return readers, nil
}

// Connect opens a reader and prepares its statements. It returns an error if another file is at the path of the log.
func (at readersAt) Connect(ctx context.Context) (driver.Conn, error) {
	opened, err := at.Connector.Connect(ctx)
	if err != nil {
		return nil, err
	}
	r := &reader{Conn: opened}
	if info, err := os.Stat(at.path); err != nil || !os.SameFile(info, at.file) {
		return nil, errors.Join(fmt.Errorf("%w: %s was deleted, moved or replaced while this server runs",
			eventlog.ErrUnavailable, at.path), r.Close())
	}
	for _, s := range []struct {
		statement *statement
		query     string
	}{{&r.head, sqlHead}, {&r.all, sqlAll}, {&r.stream, sqlStream}, {&r.items, sqlItems},
		{&r.format, sqlFormat}} {
		prepared, err := opened.Prepare(s.query)
		if err != nil {
			return nil, errors.Join(err, r.Close())
		}
		s.statement.Stmt = prepared
	}
	return r, nil
}

// Close closes the statements and the connection. Open statements would keep the connection open.
func (r *reader) Close() error {
	var err error
	for _, s := range []statement{r.head, r.all, r.stream, r.items, r.format} {
		if s.Stmt != nil {
			err = errors.Join(err, s.Close())
		}
	}
	return errors.Join(err, r.Conn.Close())
}

// IsValid reports whether the pool can reuse the connection.
func (r *reader) IsValid() bool {
	validator, ok := r.Conn.(driver.Validator)
	return !ok || validator.IsValid()
}

// end returns the position of the last event.
func (r *reader) end(ctx context.Context) (head eventlog.Position, err error) {
	err = r.head.eachUntil(ctx, func(found []driver.Value) error {
		n, _ := found[0].(int64)
		head = eventlog.Position(n)
		return nil
	})
	return head, err
}

// checkFormat returns an error if a newer drover has migrated the file: the events may not mean what they did.
func (r *reader) checkFormat(ctx context.Context) error {
	found := int64(0)
	err := r.format.eachUntil(ctx, func(row []driver.Value) error {
		found, _ = row[0].(int64)
		return nil
	})
	if err != nil {
		return err
	}
	return checkSupported(found)
}

// withReader calls read with a reader as soon as one is free.
func (l *Log) withReader(ctx context.Context, read func(*reader) error) error {
	conn, err := l.readers.Conn(ctx)
	if err != nil {
		return err
	}
	err = conn.Raw(func(raw any) error {
		return read(raw.(*reader)) //nolint:forcetypeassert // connections of the pool are readers
	})
	return errors.Join(err, conn.Close())
}
