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

// conn is the writer's connection. It speaks to the driver without the pool of
// database/sql between them, which costs a writer of small events a good part of its time.
//
// It remembers where the log and its streams stand. What it remembers holds as long as
// no other connection wrote, which SQLite tells by its data version.
type conn struct {
	driver driver.Conn

	begin, commit, undo, checkpoint         statement
	version, position, last, stored, insert statement
	item, putItem, dropItem                 statement

	seen  int64 // the data version at which the rest was read
	head  eventlog.Position
	lasts map[string]eventlog.Revision
}

// maxRemembered bounds lasts; beyond it conn forgets and asks anew.
const maxRemembered = 100_000

// emptyPatience is how long the writer lets appends wait while it empties the write-ahead log only to erase what it holds.
const emptyPatience = 50 * time.Millisecond

// openConn opens a connection and proves, by taking the lock once, that it may write.
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
		{&c.item, sqlItem}, {&c.putItem, sqlPutItem}, {&c.dropItem, sqlDropItem},
	} {
		if s.statement.Stmt, err = c.driver.Prepare(s.query); err != nil {
			return err
		}
	}
	return nil
}

// start begins a transaction and forgets what others may have made untrue.
func (c *conn) start() error {
	if err := c.begin.exec(); err != nil {
		return err
	}
	version, err := c.version.integer()
	if err != nil {
		return err
	}
	if version != c.seen || len(c.lasts) > maxRemembered {
		head, err := c.position.integer()
		if err != nil {
			return err
		}
		c.seen, c.head, c.lasts = version, eventlog.Position(head), map[string]eventlog.Revision{}
	}
	return nil
}

// lastOf returns the last revision of stream, NoStream for an empty one.
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

// idsAfter returns at most n ids of stream behind revision after, and the position of
// the last of them.
func (c *conn) idsAfter(stream string, after eventlog.Revision, n int) (ids []uuid.UUID, last eventlog.Position, err error) {
	err = c.stored.each(func(found []driver.Value) error {
		text, _ := found[0].(string)
		id, err := uuid.Parse(text)
		if err != nil {
			return fmt.Errorf("%w: stream %s has the id %q behind revision %d", eventlog.ErrDamaged, stream, text, after)
		}
		position, _ := found[1].(int64)
		ids, last = append(ids, id), eventlog.Position(position)
		return nil
	}, stream, int64(after), int64(n))
	return ids, last, err
}

// append inserts rows behind the end of the log and of stream, which stands at expected.
func (c *conn) append(stream string, expected eventlog.Revision, rows []row) error {
	revision := expected
	for _, r := range rows {
		c.head++
		revision++
		err := c.insert.exec(int64(c.head), stream, int64(revision), r.id, r.typ, r.time, r.command, r.causes, r.data, r.checksum)
		if err != nil {
			return err
		}
	}
	c.lasts[stream] = revision
	return nil
}

// empty moves the write-ahead log into the file, with an fsync of both, and empties it.
// busy says that another connection kept it from that for 5 s.
func (c *conn) empty() (busy bool, err error) {
	refused, err := c.checkpoint.integer()
	return refused != 0, err
}

// tryEmpty is empty for one that can be tried again later: it waits for other connections only briefly.
func (c *conn) tryEmpty() (busy bool, err error) {
	if err := c.wait(emptyPatience); err != nil {
		return false, err
	}
	busy, err = c.empty()
	return busy, errors.Join(err, c.wait(busyTimeout))
}

// wait sets how long the connection waits for locks of others. SQLite does that when it prepares the statement.
func (c *conn) wait(d time.Duration) error {
	prepared, err := c.driver.Prepare(fmt.Sprintf(`PRAGMA busy_timeout = %d`, d.Milliseconds()))
	if err != nil {
		return err
	}
	s := statement{prepared}
	return errors.Join(s.exec(), s.Close())
}

// itemOf returns the item under key, the zero Item if the key has no item.
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
		c.begin, c.commit, c.undo, c.checkpoint, c.version, c.position, c.last, c.stored, c.insert, c.item, c.putItem, c.dropItem,
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
	_, err := s.Stmt.(driver.StmtExecContext).ExecContext(context.Background(), named(values)) //nolint:forcetypeassert // this driver's statements are both
	return err
}

// each calls visit with every row found.
func (s statement) each(visit func(found []driver.Value) error, values ...driver.Value) (err error) {
	return s.eachUntil(context.Background(), visit, values...)
}

// eachUntil is each that also ends with ctx, with its error.
func (s statement) eachUntil(ctx context.Context, visit func(found []driver.Value) error, values ...driver.Value) (err error) {
	rows, err := s.Stmt.(driver.StmtQueryContext).QueryContext(ctx, named(values)) //nolint:forcetypeassert // this driver's statements are both
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
