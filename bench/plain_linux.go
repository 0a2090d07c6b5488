package main

import (
	"context"
	"database/sql"
	"errors"
	"os"
	"path/filepath"
	"time"

	_ "modernc.org/sqlite" // the driver of the log

	"github.com/droverhq/drover/domain"
	"github.com/droverhq/drover/internal/ids"
)

// plainSchema has the columns of a log but only one of its constraints: the index that finds the events of a
// stream.
const plainSchema = `CREATE TABLE events (position INTEGER PRIMARY KEY, stream TEXT NOT NULL, revision INTEGER NOT NULL,
	id TEXT NOT NULL, type TEXT NOT NULL,
	time TEXT NOT NULL, command TEXT NOT NULL, causes TEXT NOT NULL, data TEXT NOT NULL,
	checksum TEXT NOT NULL, UNIQUE (stream, revision))`

const (
	plainInsert = `INSERT INTO events (stream, revision, id, type, time, command, causes, data, checksum)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)`
	plainSelect = `SELECT position, stream, revision, id, type, time, command, causes, data, checksum
		FROM events ORDER BY position`
)

// plainSQLite opens a file through database/sql, with the driver and the durability of a log. Writers share one
// connection: with several connections, all but one would wait for the lock of SQLite, which is slower.
func plainSQLite(path string) (*sql.DB, error) {
	db, err := sql.Open("sqlite", "file:"+path+"?_pragma=journal_mode(WAL)&_pragma=synchronous(FULL)")
	if err == nil {
		db.SetMaxOpenConns(1)
	}
	return db, err
}

// plainRows is a new SQLite file to insert rows into.
type plainRows struct {
	db       *sql.DB
	checksum string
}

func (o options) plainRows(ctx context.Context) (*plainRows, error) {
	folder, err := os.MkdirTemp(o.folder, "plain-")
	if err != nil {
		return nil, err
	}
	db, err := plainSQLite(filepath.Join(folder, "plain.db"))
	if err != nil {
		return nil, err
	}
	if _, err := db.ExecContext(ctx, plainSchema); err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return &plainRows{db, ids.New().String()}, nil
}

// insert writes an event as the row that a log stores.
func (p *plainRows) insert(ctx context.Context, with *sql.Stmt, writer, revision int) error {
	event := sample()
	_, err := with.ExecContext(ctx, domain.MachineStream(machine(writer)), revision, event.ID.String(), event.Type,
		event.Time.Format(time.RFC3339Nano),
		"", "[]", string(event.Data), p.checksum)
	return err
}

// plainAppends returns how many rows per second plain SQLite makes durable with one row per transaction.
func (o options) plainAppends(ctx context.Context, writers int, span time.Duration) (float64, error) {
	p, err := o.plainRows(ctx)
	if err != nil {
		return 0, err
	}
	defer p.db.Close()
	with, err := p.db.PrepareContext(ctx, plainInsert)
	if err != nil {
		return 0, err
	}
	perSecond, err := rate(writers, span, func(writer, revision int) error {
		return p.insert(ctx, with, writer, revision)
	})
	return perSecond, errors.Join(err, with.Close())
}

// plainBatches returns how many rows per second plain SQLite makes durable when one writer puts the given number of
// rows into each transaction. This is the upper limit for a log that commits the appends of that many writers together.
func (o options) plainBatches(ctx context.Context, rows int, span time.Duration) (float64, error) {
	p, err := o.plainRows(ctx)
	if err != nil {
		return 0, err
	}
	defer p.db.Close()
	batches, err := rate(1, span, func(_, batch int) error { return p.batch(ctx, rows, batch) })
	return batches * float64(rows), err
}

func (p *plainRows) batch(ctx context.Context, rows, revision int) error {
	tx, err := p.db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback()
	with, err := tx.PrepareContext(ctx, plainInsert) // closed by the end of the transaction
	if err != nil {
		return err
	}
	for writer := range rows {
		if err := p.insert(ctx, with, writer, revision); err != nil {
			return err
		}
	}
	return tx.Commit()
}

// plainRead reads the columns of all rows of a log's file without checking them. It returns the number of rows.
func plainRead(ctx context.Context, path string) (count int, err error) {
	db, err := plainSQLite(path)
	if err != nil {
		return 0, err
	}
	defer db.Close()
	rows, err := db.QueryContext(ctx, plainSelect)
	if err != nil {
		return 0, err
	}
	defer rows.Close()
	var position, revision int64
	var stream, id, name, at, command, causes, data, checksum string
	for rows.Next() {
		if err := rows.Scan(&position, &stream, &revision, &id, &name, &at, &command, &causes, &data,
			&checksum); err != nil {
			return 0, err
		}
		count++
	}
	return count, rows.Err()
}
