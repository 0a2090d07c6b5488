package eventlog

import (
	"context"
	"errors"
	"fmt"

	"github.com/google/uuid"
)

// ErrImporting means that an import into the log has begun and has not finished. Nothing else may write to the log.
var ErrImporting = errors.New("an import into this log is not finished")

// importMark is the key of a lease that exists while an import is in progress or was interrupted. No server has this
// id.
var importMark = uuid.NewSHA1(uuid.Nil, []byte("drover: an import is under way"))

// Importer is implemented by a backend that stores an append at lower cost if the caller does not need its position.
type Importer interface {
	// AppendForImport works like Log.Append, but does not return the result. A repeat is a success.
	AppendForImport(ctx context.Context, stream string, expected Revision, events ...Event) error
}

// appender returns the cheapest function that appends to log.
func appender(log Log) func(ctx context.Context, stream string, expected Revision, events ...Event) error {
	if importer, ok := log.(Importer); ok {
		return importer.AppendForImport
	}
	return func(ctx context.Context, stream string, expected Revision, events ...Event) error {
		_, err := log.Append(ctx, stream, expected, events...)
		return err
	}
}

// CheckNotImporting returns ErrImporting if an import into the log has begun and has not finished. A writer must call
// it before and again after its first append, because an import may begin in between.
func CheckNotImporting(ctx context.Context, log Store) error {
	leases, err := ReadLeases(ctx, log)
	if err != nil {
		return fmt.Errorf("check for an unfinished import: %w", err)
	}
	if _, marked := leases[importMark]; marked {
		return fmt.Errorf("%w: wait until it ends, or run the same `drover eventlog import` again if it was interrupted",
			ErrImporting)
	}
	return nil
}

// ImportExclusive imports an archive into log, as Archive.Import does, and locks out servers meanwhile. It calls open
// three times; each call must open the archive from its beginning. It leaves log unchanged if the archive does not
// belong to it. At the end it reads the log back. An error that wraps ErrForeign then means that another process
// wrote to the log.
//
// It returns the number of events in the log and the number of added events.
func ImportExclusive(ctx context.Context, open func() (*Archive, error), log Backend,
	progress func(events int)) (total, added int, err error) {
	if err := withArchive(open, func(a *Archive) error { return a.fits(ctx, log) }); err != nil {
		return 0, 0, err
	}
	if err := log.Put(ctx, Leases, Lease(importMark, []byte("import"))); err != nil {
		return 0, 0, fmt.Errorf("mark the log as importing: %w", err)
	}
	err = withArchive(open, func(a *Archive) (err error) {
		added, err = a.Import(ctx, log, progress)
		total = a.Events()
		return err
	})
	if err == nil {
		err = withArchive(open, func(a *Archive) error { return a.equals(ctx, log) })
	}
	if err != nil {
		return total, added, err
	}
	if err := log.Drop(ctx, Leases, importMark.String()); err != nil {
		return total, added, fmt.Errorf("all events are imported, but servers are still locked out: %w; run the import again",
			err)
	}
	return total, added, nil
}

func withArchive(open func() (*Archive, error), use func(*Archive) error) error {
	a, err := open()
	if err != nil {
		return err
	}
	return use(a)
}

// fits returns an error unless the events of log are a prefix of the archive.
func (a *Archive) fits(ctx context.Context, log Log) error {
	if id, err := log.ID(ctx); err != nil || id != a.id {
		return errors.Join(err, fmt.Errorf("%w: the log is %s, but the archive is of log %s", ErrForeign, id, a.id))
	}
	return a.skipExisting(ctx, log)
}

// equals returns an error unless log has exactly the events of the archive.
func (a *Archive) equals(ctx context.Context, log Log) error {
	if err := a.fits(ctx, log); err != nil {
		return fmt.Errorf("another process wrote to this log during the import; import into a new, empty log: %w", err)
	}
	switch e, err := a.next(); {
	case err != nil:
		return err
	case e != nil:
		return fmt.Errorf("%w: event %s of stream %s is missing from the log", ErrDamaged, e.ID, e.Stream)
	}
	return nil
}
