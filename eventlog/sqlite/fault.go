package sqlite

import (
	"context"
	"errors"
	"fmt"

	modernc "modernc.org/sqlite"
	lib "modernc.org/sqlite/lib"

	"github.com/droverhq/drover/eventlog"
)

// code returns the primary SQLite result code in err, or 0 if err is not from SQLite.
func code(err error) int {
	var failure *modernc.Error
	if errors.As(err, &failure) {
		return failure.Code() & 0xff
	}
	return 0
}

// explain converts an error from SQLite into an error of package eventlog. It is for operations that stored nothing.
// The message from SQLite remains part of the error.
func explain(err error) error {
	for _, known := range []error{nil, context.Canceled, context.DeadlineExceeded, eventlog.ErrUnavailable,
		eventlog.ErrDamaged, eventlog.ErrForeign} {
		if errors.Is(err, known) {
			return err
		}
	}
	switch code(err) {
	case lib.SQLITE_FULL:
		return fmt.Errorf("%w: free space on its disk: %w", eventlog.ErrFull, err)
	case lib.SQLITE_NOTADB:
		return fmt.Errorf("%w: not a SQLite file; use another file, or restore a backup: %w", eventlog.ErrForeign, err)
	case lib.SQLITE_CORRUPT:
		return fmt.Errorf("%w: the structure of the file is damaged; restore a backup: %w", eventlog.ErrDamaged, err)
	case lib.SQLITE_BUSY, lib.SQLITE_LOCKED:
		return fmt.Errorf("%w: another process holds the lock of the file: %w", eventlog.ErrUnavailable, err)
	case lib.SQLITE_READONLY, lib.SQLITE_PERM:
		return fmt.Errorf("%w: the file is not writable: %w", eventlog.ErrUnavailable, err)
	}
	return fmt.Errorf("%w: %w", eventlog.ErrUnavailable, err)
}

// explainCommit converts an error of COMMIT. If the disk is full, the last frame is incomplete, so the commit is not
// valid. After any other error the commit may be in the file: a failed fsync does not remove the data that was
// written.
func explainCommit(err error) error {
	if code(err) == lib.SQLITE_FULL {
		return explain(err)
	}
	return fmt.Errorf("%w: %w", eventlog.ErrUnknownOutcome, err)
}
