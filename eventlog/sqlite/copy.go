package sqlite

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/droverhq/drover/eventlog"
)

// reserve is the free space that a copy must leave on its disk, which may also be the disk of the log.
const reserve = 64 << 20

// CopyTo writes a durable copy of the current log to a new file at path, readable only by its owner. The copy is a
// prefix of the log and contains every event that was acknowledged before the call. Appends continue during the copy,
// and the write-ahead log grows by their size. Leases and output are not copied.
//
// CopyTo returns ErrFull without writing anything if the copy would leave less than 64 MiB of free space. It returns
// ErrDamaged if the structure of the file is damaged. If path exists, CopyTo returns an error and does not change the
// file. After any other error, path does not exist.
func (l *Log) CopyTo(ctx context.Context, path string) error {
	if err := l.ready(ctx); err != nil {
		return fmt.Errorf("copy log: %w", err)
	}
	if err := l.copyTo(ctx, path); err != nil {
		return fmt.Errorf("copy log to %s: %w", path, l.ended(err))
	}
	return nil
}

func (l *Log) copyTo(ctx context.Context, path string) (err error) {
	if err := l.writer.place.Load().check(partsWithEvents); err != nil { // the copy would be one of another file
		return err
	}
	if err := l.checkSpace(filepath.Dir(path)); err != nil {
		return err
	}
	file, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_RDWR, 0o600) // SQLite accepts an empty file
	if err != nil {
		return err
	}
	defer func() {
		if err = errors.Join(err, file.Close()); err != nil {
			err = errors.Join(err, os.Remove(path))
		}
	}()
	if err := l.vacuumInto(ctx, path); err != nil {
		return explain(err)
	}
	return errors.Join(file.Sync(), syncFolder(filepath.Dir(path)))
}

// vacuumInto copies the log in one read transaction on a new connection. Connections of readers cannot be used,
// because they refuse every write.
func (l *Log) vacuumInto(ctx context.Context, path string) error {
	db, err := connect(l.path, 1)
	if err != nil {
		return err
	}
	_, err = db.ExecContext(ctx, `VACUUM INTO ?`, path)
	return errors.Join(err, db.Close())
}

// checkSpace returns an error if the copy could fill the disk, because servers stop writing when the disk of the log
// is full.
func (l *Log) checkSpace(folder string) error {
	var need uint64 = reserve
	for _, name := range []string{l.path, l.path + "-wal"} {
		if info, err := os.Stat(name); err == nil {
			need += uint64(max(info.Size(), 0))
		}
	}
	free, err := freeIn(folder)
	if err != nil || free >= need { // if the free space is unknown, try the copy
		return nil
	}
	return fmt.Errorf("%w: a copy needs %d MiB of free space in %s, which has %d MiB", eventlog.ErrFull, need>>20+1,
		folder, free>>20)
}
