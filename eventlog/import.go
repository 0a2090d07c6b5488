package eventlog

import (
	"context"
	"errors"
	"fmt"

	"github.com/google/uuid"
)

// ErrImporting means that an import into the log has begun and not come to its end: nobody else may write to it.
var ErrImporting = errors.New("an import into this log has not come to its end")

// importMark is the lease that stands while an import is under way, also when it was cut off. No server has this id.
var importMark = uuid.NewSHA1(uuid.Nil, []byte("drover: an import is under way"))

// Importing returns ErrImporting if an import into the log has begun and not ended. Who writes to the log asks before the first
// append, and again after it: the import may have begun in between.
func Importing(ctx context.Context, log Store) error {
	leases, err := ReadLeases(ctx, log)
	if err != nil {
		return fmt.Errorf("look whether something is imported: %w", err)
	}
	if _, marked := leases[importMark]; marked {
		return fmt.Errorf("%w: wait for it, or run the same `drover eventlog import` again if it was cut off", ErrImporting)
	}
	return nil
}

// ImportAlone brings log to hold what an archive holds, as Archive.Import does, while servers keep off it. open opens the archive
// from its beginning; it is called three times. A log that the archive does not belong in is left as it is. In the end
// the log is read back: ErrForeign then means that something else wrote to it meanwhile.
func ImportAlone(ctx context.Context, open func() (*Archive, error), log Backend, progress func(events int)) (there, added int, err error) {
	if err := withArchive(open, func(a *Archive) error { return a.fits(ctx, log) }); err != nil {
		return 0, 0, err
	}
	if err := log.Put(ctx, Leases, Lease(importMark, []byte("import"))); err != nil {
		return 0, 0, fmt.Errorf("mark the log as one that is imported into: %w", err)
	}
	err = withArchive(open, func(a *Archive) (err error) {
		added, err = a.Import(ctx, log, progress)
		there = a.Events()
		return err
	})
	if err == nil {
		err = withArchive(open, func(a *Archive) error { return a.equals(ctx, log) })
	}
	if err != nil {
		return there, added, err
	}
	if err := log.Drop(ctx, Leases, importMark.String()); err != nil {
		return there, added, fmt.Errorf("everything is there, but servers are still kept off: %w; run the import again", err)
	}
	return there, added, nil
}

func withArchive(open func() (*Archive, error), use func(*Archive) error) error {
	a, err := open()
	if err != nil {
		return err
	}
	return use(a)
}

// fits says whether what log holds is the archive's beginning.
func (a *Archive) fits(ctx context.Context, log Log) error {
	if id, err := log.ID(ctx); err != nil || id != a.id {
		return errors.Join(err, fmt.Errorf("%w: it is log %s, and the archive is of log %s", ErrForeign, id, a.id))
	}
	return a.passOver(ctx, log)
}

// equals says whether log holds the archive, all of it and nothing else.
func (a *Archive) equals(ctx context.Context, log Log) error {
	if err := a.fits(ctx, log); err != nil {
		return fmt.Errorf("something else wrote to this log meanwhile; import into another, empty one: %w", err)
	}
	switch e, err := a.next(); {
	case err != nil:
		return err
	case e != nil:
		return fmt.Errorf("%w: the log does not give back event %s of stream %s", ErrDamaged, e.ID, e.Stream)
	}
	return nil
}
