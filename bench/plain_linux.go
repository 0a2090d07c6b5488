package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"path/filepath"
	"time"

	_ "modernc.org/sqlite" // the driver of the log

	"github.com/droverhq/drover/domain"
	"github.com/droverhq/drover/internal/ids"
)

// plainSchema has the columns of a log, and of its rules the index alone that finds a stream's events.
const plainSchema = `CREATE TABLE events (position INTEGER PRIMARY KEY, stream TEXT NOT NULL, revision INTEGER NOT NULL, id TEXT NOT NULL, type TEXT NOT NULL,
	time TEXT NOT NULL, command TEXT NOT NULL, causes TEXT NOT NULL, data TEXT NOT NULL, checksum TEXT NOT NULL, UNIQUE (stream, revision))`

const (
	plainInsert = `INSERT INTO events (stream, revision, id, type, time, command, causes, data, checksum) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)`
	plainSelect = `SELECT position, stream, revision, id, type, time, command, causes, data, checksum FROM events ORDER BY position`
)

// plainSQLite opens a file as any program would, with the driver and the durability of a log. It has one connection, which
// writers take turns at: with more of them SQLite lets all but one wait for its lock, and that is slower.
func plainSQLite(path string) (*sql.DB, error) {
	db, err := sql.Open("sqlite", "file:"+path+"?_pragma=journal_mode(WAL)&_pragma=synchronous(FULL)")
	if err == nil {
		db.SetMaxOpenConns(1)
	}
	return db, err
}

// plainAppends is how many rows a second plain SQLite makes durable, one a transaction.
func (o options) plainAppends(ctx context.Context, writers int, span time.Duration) (float64, error) {
	db, err := plainSQLite(filepath.Join(o.folder, fmt.Sprintf("plain-%d.db", writers)))
	if err != nil {
		return 0, err
	}
	defer db.Close()
	if _, err := db.ExecContext(ctx, plainSchema); err != nil {
		return 0, err
	}
	insert, err := db.PrepareContext(ctx, plainInsert) //nolint:sqlclosecheck // it is closed below; a function that uses it hides that
	if err != nil {
		return 0, err
	}
	checksum := ids.New().String()
	perSecond, err := rate(writers, span, func(writer, revision int) error {
		event := sample()
		_, err := insert.ExecContext(ctx, domain.MachineStream(machine(writer)), revision, event.ID.String(), event.Type, event.Time.Format(time.RFC3339Nano),
			"", "[]", string(event.Data), checksum)
		return err
	})
	return perSecond, errors.Join(err, insert.Close())
}

// plainRead reads all rows of a log's file, each as its columns, and checks none. It returns how many there are.
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
		if err := rows.Scan(&position, &stream, &revision, &id, &name, &at, &command, &causes, &data, &checksum); err != nil {
			return 0, err
		}
		count++
	}
	return count, rows.Err()
}
