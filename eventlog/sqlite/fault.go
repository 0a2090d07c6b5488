package sqlite

import (
	"context"
	"errors"
	"fmt"

	modernc "modernc.org/sqlite"
	lib "modernc.org/sqlite/lib"

	"github.com/droverhq/drover/eventlog"
)

// code returns the primary result code of SQLite in err, 0 if there is none.
func code(err error) int {
	var failure *modernc.Error
	if errors.As(err, &failure) {
		return failure.Code() & 0xff
	}
	return 0
}

// explain turns an error of SQLite that left nothing in the log into one that callers of
// the log know. It leaves the words of SQLite in, for the person who must repair it.
func explain(err error) error {
	for _, known := range []error{nil, context.Canceled, context.DeadlineExceeded, eventlog.ErrUnavailable, eventlog.ErrDamaged, eventlog.ErrForeign} {
		if errors.Is(err, known) {
			return err
		}
	}
	switch code(err) {
	case lib.SQLITE_FULL:
		return fmt.Errorf("%w: make room on its disk: %w", eventlog.ErrFull, err)
	case lib.SQLITE_NOTADB:
		return fmt.Errorf("%w: the file is no SQLite file; name another file, or restore a backup: %w", eventlog.ErrForeign, err)
	case lib.SQLITE_CORRUPT:
		return fmt.Errorf("%w: the file itself is broken, restore a backup: %w", eventlog.ErrDamaged, err)
	case lib.SQLITE_BUSY, lib.SQLITE_LOCKED:
		return fmt.Errorf("%w: another process holds its lock: %w", eventlog.ErrUnavailable, err)
	case lib.SQLITE_READONLY, lib.SQLITE_PERM:
		return fmt.Errorf("%w: its file cannot be written: %w", eventlog.ErrUnavailable, err)
	}
	return fmt.Errorf("%w: %w", eventlog.ErrUnavailable, err)
}

// explainCommit turns an error of COMMIT into what its callers may conclude. A full disk
// cut the last frame short, so the commit cannot be valid; after any other error it may
// be in the file all the same (a failed fsync leaves what was written).
func explainCommit(err error) error {
	if code(err) == lib.SQLITE_FULL {
		return explain(err)
	}
	return fmt.Errorf("%w: %w", eventlog.ErrUnknownOutcome, err)
}
