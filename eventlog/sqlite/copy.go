package sqlite

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/droverhq/drover/eventlog"
)

// reserve is what a copy must leave free on the disk that it is written to, which may be that of the log.
const reserve = 64 << 20

// CopyTo writes the log as it stands now to a new file at path, readable for its owner alone and made durable. It
// holds every event that was acknowledged before the call, and none beside whose predecessors it lacks. Appends go on
// meanwhile; the write-ahead log grows by what they write. What lives beside the log is not copied.
//
// It returns ErrFull, before anything is written, where the copy would not leave 64 MiB free, and ErrDamaged for a file whose
// structure is broken. After an error there is no file at path, unless there was one before, which is an error and is left alone.
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
	if err := l.checkRoom(filepath.Dir(path)); err != nil {
		return err
	}
	file, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_RDWR, 0o600) // SQLite fills an empty file
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

// vacuumInto reads the log in one read transaction on a connection of its own: the readers' connections are not
// let write, not even elsewhere.
func (l *Log) vacuumInto(ctx context.Context, path string) error {
	db, err := connect(l.path, 1)
	if err != nil {
		return err
	}
	_, err = db.ExecContext(ctx, `VACUUM INTO ?`, path)
	return errors.Join(err, db.Close())
}

// checkRoom refuses a copy that could fill the disk: servers take no more writes where the log's disk is full.
func (l *Log) checkRoom(folder string) error {
	var need uint64 = reserve
	for _, name := range []string{l.path, l.path + "-wal"} {
		if info, err := os.Stat(name); err == nil {
			need += uint64(max(info.Size(), 0))
		}
	}
	free, err := freeIn(folder)
	if err != nil || free >= need { // where nobody can say, the copy is tried
		return nil
	}
	return fmt.Errorf("%w: a copy needs %d MiB free in %s, and there are %d", eventlog.ErrFull, need>>20+1, folder, free>>20)
}
