package sqlite

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/google/uuid"

	"github.com/droverhq/drover/eventlog"
)

// conn is the connection of the writer. It uses the driver directly, because the pool of database/sql would add
// significant cost to the append of small events.
//
// It caches the end of the log and of its streams. The cache is valid as long as SQLite's data version is unchanged,
// which means that no other connection has written.
type conn struct {
	driver driver.Conn

	begin, commit, undo, checkpoint         statement
	version, position, last, stored, insert statement
	item, putItem, dropItem, format         statement

	seen  int64 // the data version for which head and lasts are valid
	head  eventlog.Position
	lasts map[string]eventlog.Revision
}

// maxCached limits lasts. Beyond it conn clears the cache.
const maxCached = 100_000

// emptyWALTimeout is how long appends may wait while the writer empties the write-ahead log in order to erase data.
const emptyWALTimeout = 50 * time.Millisecond

// openConn opens a connection, and takes the write lock once to check that it can write.
func openConn(ctx context.Context, path, synchronous string) (*conn, error) {
	connector, err := connectorTo(path, "_pragma=journal_mode(WAL)", "_pragma=synchronous("+synchronous+")",
		"_pragma=journal_size_limit(67108864)", "_pragma=secure_delete(1)")
	if err != nil {
		return nil, err
	}
	opened, err := connector.Connect(ctx)
	if err != nil {
		return nil, err
	}
	c := &conn{driver: opened, seen: -1}
	err = c.prepare()
	if err == nil {
		err = c.begin.exec()
	}
	if err == nil {
		err = c.undo.exec()
	}
	if err != nil {
		return nil, errors.Join(err, opened.Close())
	}
	return c, nil
}

func (c *conn) prepare() (err error) {
	for _, s := range []struct {
		statement *statement
		query     string
	}{
		{&c.begin, `BEGIN IMMEDIATE`}, {&c.commit, `COMMIT`}, {&c.undo, `ROLLBACK`},
		{&c.checkpoint, `PRAGMA wal_checkpoint(TRUNCATE)`}, {&c.version, `PRAGMA data_version`},
		{&c.position, sqlHead}, {&c.last, sqlLast}, {&c.stored, sqlIDs}, {&c.insert, sqlInsert},
		{&c.item, sqlItem}, {&c.putItem, sqlPutItem}, {&c.dropItem, sqlDropItem}, {&c.format, sqlFormat},
	} {
		if s.statement.Stmt, err = c.driver.Prepare(s.query); err != nil {
			return err
		}
	}
	return nil
}

// start begins a transaction. If another connection has written, it clears the cache and checks the format, because a
// newer drover may have migrated the file.
func (c *conn) start() error {
	if err := c.begin.exec(); err != nil {
		return err
	}
	version, err := c.version.integer()
	if err != nil {
		return err
	}
	if version != c.seen || len(c.lasts) > maxCached {
		found, err := c.format.integer()
		if err == nil {
			err = checkSupported(found)
		}
		if err != nil {
			return errors.Join(err, c.undo.exec())
		}
		head, err := c.position.integer()
		if err != nil {
			return err
		}
		c.seen, c.head, c.lasts = version, eventlog.Position(head), map[string]eventlog.Revision{}
	}
	return nil
}

// lastOf returns the last revision of stream, or NoStream if it is empty.
func (c *conn) lastOf(stream string) (eventlog.Revision, error) {
	if last, known := c.lasts[stream]; known {
		return last, nil
	}
	last, err := c.last.integer(stream)
	if err != nil {
		return 0, err
	}
	c.lasts[stream] = eventlog.Revision(last)
	return eventlog.Revision(last), nil
}

// idsAfter returns at most n ids of stream after revision after, and the position of the last of them.
func (c *conn) idsAfter(stream string, after eventlog.Revision, n int) (ids []uuid.UUID, last eventlog.Position,
	err error) {
	err = c.stored.each(func(found []driver.Value) error {
		text, _ := found[0].(string)
		id, err := uuid.Parse(text)
		if err != nil {
			return fmt.Errorf("%w: stream %s has the invalid id %q after revision %d", eventlog.ErrDamaged, stream,
				text, after)
		}
		position, _ := found[1].(int64)
		ids, last = append(ids, id), eventlog.Position(position)
		return nil
	}, stream, int64(after), int64(n))
	return ids, last, err
}

// append inserts rows at the end of the log and of stream, whose last revision is expected.
func (c *conn) append(stream string, expected eventlog.Revision, rows []row) error {
	revision := expected
	for _, r := range rows {
		c.head++
		revision++
		err := c.insert.exec(int64(c.head), stream, int64(revision), r.id, r.typ, r.time, r.command, r.causes, r.data,
			r.checksum)
		if err != nil {
			return err
		}
	}
	c.lasts[stream] = revision
	return nil
}

// emptyWAL moves the write-ahead log into the file, syncs both, and truncates the write-ahead log. busy reports that
// another connection prevented this for 5 s.
func (c *conn) emptyWAL() (busy bool, err error) {
	refused, err := c.checkpoint.integer()
	return refused != 0, err
}

// tryEmptyWAL works like emptyWAL, but waits only briefly for other connections. The caller can retry later.
func (c *conn) tryEmptyWAL() (busy bool, err error) {
	if err := c.wait(emptyWALTimeout); err != nil {
		return false, err
	}
	busy, err = c.emptyWAL()
	return busy, errors.Join(err, c.wait(busyTimeout))
}

// wait sets how long the connection waits for locks. SQLite applies the value when it prepares the statement.
func (c *conn) wait(d time.Duration) error {
	prepared, err := c.driver.Prepare(fmt.Sprintf(`PRAGMA busy_timeout = %d`, d.Milliseconds()))
	if err != nil {
		return err
	}
	s := statement{prepared}
	return errors.Join(s.exec(), s.Close())
}

// itemOf returns the item of key, or the zero Item if the key has no item.
func (c *conn) itemOf(collection eventlog.Collection, key string) (found eventlog.Item, err error) {
	err = c.item.each(func(row []driver.Value) (err error) {
		found, err = scanItem(row)
		return err
	}, string(collection), key)
	return found, err
}

func (c *conn) close() error {
	var err error
	for _, s := range []statement{
		c.begin, c.commit, c.undo, c.checkpoint, c.version, c.position, c.last, c.stored, c.insert,
		c.item, c.putItem, c.dropItem, c.format,
	} {
		err = errors.Join(err, s.Close())
	}
	return errors.Join(err, c.driver.Close())
}

// statement is a prepared statement of the driver.
type statement struct {
	driver.Stmt
}

func named(values []driver.Value) []driver.NamedValue {
	all := make([]driver.NamedValue, len(values))
	for i, value := range values {
		all[i] = driver.NamedValue{Ordinal: i + 1, Value: value}
	}
	return all
}

func (s statement) exec(values ...driver.Value) error {
	stmt := s.Stmt.(driver.StmtExecContext) //nolint:forcetypeassert // statements of this driver implement it
	_, err := stmt.ExecContext(context.Background(), named(values))
	return err
}

// each calls visit with every row.
func (s statement) each(visit func(found []driver.Value) error, values ...driver.Value) (err error) {
	return s.eachUntil(context.Background(), visit, values...)
}

// eachUntil works like each, and returns the error of ctx when ctx is done.
func (s statement) eachUntil(ctx context.Context, visit func(found []driver.Value) error,
	values ...driver.Value) (err error) {
	stmt := s.Stmt.(driver.StmtQueryContext) //nolint:forcetypeassert // statements of this driver implement it
	rows, err := stmt.QueryContext(ctx, named(values))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	found := make([]driver.Value, len(rows.Columns()))
	for {
		if err := rows.Next(found); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
		if err := visit(found); err != nil {
			return err
		}
	}
}

// integer returns the first column of the first row.
func (s statement) integer(values ...driver.Value) (n int64, err error) {
	err = s.each(func(found []driver.Value) error {
		n, _ = found[0].(int64)
		return nil
	}, values...)
	return n, err
}
