package witness

import (
	"errors"
	"os"
	"path/filepath"
	"sync"

	"github.com/google/uuid"
	"go.uber.org/zap"

	"github.com/droverhq/drover/eventlog"
	"github.com/droverhq/drover/internal/quarantine"
)

// prefix is the beginning of the name of every witness file. The id of the log follows.
const prefix = "head-"

// Config describes a witness. Folder and Made are required.
type Config struct {
	// Folder is the data folder.
	Folder string
	// Made is the id with which the log was created.
	Made uuid.UUID
	// LogFile is the path of the log, or empty if the log is not a file.
	LogFile string
	// Logger may be nil.
	Logger *zap.Logger
}

func (c Config) path() string { return filepath.Join(c.Folder, prefix+c.Made.String()) }

// File is the witness of one log in one data folder. Its methods are safe for concurrent use. Problems with the file do
// not stop a server; they are logged, and Err returns them.
type File struct {
	config Config
	seen   []eventlog.Seen // what the file contained when it was opened
	// newer means that a newer version of drover wrote the file, which therefore must not be changed.
	newer bool

	mu      sync.Mutex // guards the following fields
	file    *os.File   // nil until the first record, and after an error
	next    int        // the slot that the next record replaces
	last    record
	slot    []byte // memory for the next write
	dirty   bool   // a record was written and not synced
	created bool   // the file may be new, and its folder was not synced
	err     error  // of the last write or sync
}

// Open reads the witness of a log. A damaged file is quarantined.
func Open(c Config) *File {
	if c.Logger == nil {
		c.Logger = zap.NewNop()
	}
	f := &File{config: c}
	found, err := readRecords(c.path(), c.Made)
	for _, r := range found {
		f.seen = append(f.seen, r.seen())
	}
	switch {
	case err != nil:
		f.reportDamage(err)
	case len(found) == 0:
		f.reportOthers()
	}
	return f
}

// reportDamage quarantines a file without a valid record. It does not touch the file of a newer drover.
func (f *File) reportDamage(damage error) {
	path := zap.String("file", f.config.path())
	switch {
	case errors.Is(damage, errNewer):
		f.newer = true
		f.config.Logger.Warn("head witness not used: a newer version of drover wrote it", path)
	case len(f.seen) > 0:
		f.config.Logger.Warn("one of the two records of the head witness is damaged; the other one is used", path,
			zap.Error(damage))
	default:
		kept, err := quarantine.Rename(f.config.path())
		f.config.Logger.Warn("head witness damaged: this start cannot detect whether the log has lost its last events",
			path, zap.Error(damage), zap.String("renamed", kept), zap.NamedError("rename", err))
	}
}

// reportOthers logs the witnesses of other logs when a log is used with this folder for the first time. If the log was
// deleted, this one is a new, empty log.
func (f *File) reportOthers() {
	for _, other := range Others(f.config.Folder, f.config.Made) {
		f.config.Logger.Warn("this data folder belongs to another log; if that is not intended, stop the server and "+
			"restore that log, or delete the file", zap.Stringer("log", f.config.Made), zap.Stringer("other", other.Made),
			zap.Stringer("head", other.Position), zap.Time("time", other.Time), zap.String("file", other.Path))
	}
}

// Seen returns the events that earlier runs have recorded, at most two.
func (f *File) Seen() []eventlog.Seen { return f.seen }

// Record stores an event that was read from the log. The first record of a run, and the first under a new id of the log,
// replaces both earlier ones.
func (f *File) Record(seen eventlog.Seen) {
	f.mu.Lock()
	defer f.mu.Unlock()
	r := record{Format: format, Made: f.config.Made, Log: seen.Log, Before: seen.Before, Position: seen.Position,
		Event: seen.ID, Time: seen.Time}
	if f.config.LogFile != "" {
		r.File = filepath.Base(f.config.LogFile)
	}
	replaced := 1
	if f.file == nil || r.Log != f.last.Log {
		replaced = slots
	}
	f.last = r
	f.note(f.write(replaced))
}

// write writes the last record to a number of slots. The caller holds mu.
func (f *File) write(replaced int) (err error) {
	if f.newer {
		return nil
	}
	slot, err := f.last.encode(f.slot)
	if err != nil {
		return err
	}
	f.slot = slot
	if f.file == nil {
		if f.file, err = os.OpenFile(f.config.path(), os.O_RDWR|os.O_CREATE, 0o600); err != nil {
			return err
		}
		f.created = true
	}
	for range replaced {
		if _, err := f.file.WriteAt(slot, int64(f.next)*slotBytes); err != nil {
			return err
		}
		f.next = (f.next + 1) % slots
	}
	f.dirty = true
	return nil
}

// note records the outcome of a write or sync, and logs the first failure. After a failure the file is opened again. The
// caller holds mu.
func (f *File) note(err error) {
	if err != nil && f.err == nil {
		f.config.Logger.Warn("could not write the head witness: a later start may not detect that the log has lost events",
			zap.Error(err))
	}
	if f.err = err; err != nil {
		f.close()
	}
}

func (f *File) close() {
	if f.file != nil {
		_ = f.file.Close() // what matters was synced
		f.file = nil
	}
}

// Err returns why the last record is not in the file, or nil.
func (f *File) Err() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.err
}

// Sync makes the last record durable. After an error, or if the file is no longer at its path, it writes the record to a
// new file.
func (f *File) Sync() {
	f.mu.Lock()
	if f.stale() {
		f.close()
		f.note(f.write(slots))
	}
	file, dirty, created := f.file, f.dirty, f.created
	f.dirty, f.created = false, false
	f.mu.Unlock()
	if file == nil || !dirty {
		return
	}
	err := file.Sync() // without mu, because a slow disk must not delay Record
	if err == nil && created {
		err = syncFolder(f.config.Folder)
	}
	if err != nil && !errors.Is(err, os.ErrClosed) {
		f.mu.Lock()
		f.note(err)
		f.mu.Unlock()
	}
}

// stale reports whether the last record must be written to a new file. The caller holds mu.
func (f *File) stale() bool {
	if f.last.Position == 0 || f.newer {
		return false
	}
	if f.file == nil {
		return true
	}
	opened, err := f.file.Stat()
	named, missing := os.Stat(f.config.path())
	return err != nil || missing != nil || !os.SameFile(opened, named)
}

// Close makes the last record durable and closes the file.
func (f *File) Close() error {
	f.Sync()
	f.mu.Lock()
	defer f.mu.Unlock()
	f.close()
	return f.err
}

func syncFolder(folder string) error {
	opened, err := os.Open(folder)
	if err != nil {
		return err
	}
	return errors.Join(opened.Sync(), opened.Close())
}
