package engine

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"time"

	"github.com/fxamacker/cbor/v2"
	"github.com/google/uuid"
	"go.uber.org/zap"

	"github.com/droverhq/drover/eventlog"
	"github.com/droverhq/drover/projections"
)

// Snapshots stores the last snapshot of the view between runs of a server. A snapshot is a cache: without a valid one
// the whole log is folded, with the same result.
type Snapshots interface {
	// Load returns the stored snapshot, or nil if none exists.
	Load() ([]byte, error)
	// Store replaces the stored snapshot atomically.
	Store(data []byte) error
}

// snapshot is a view and its key. It is valid for one log, for the program that wrote it, and while the log has the
// event that was folded last.
type snapshot struct {
	Made     uuid.UUID // the id with which the log was created
	Log      uuid.UUID // the id of the log at that time
	Decision int
	Program  string
	Before   eventlog.Position // Before, At, ID and Time are the checkpoint
	At       eventlog.Position
	ID       uuid.UUID
	Time     time.Time
	Pauses   []eventlog.Position // see projections.Ages.Marks
	view     []byte
}

// Reasons to ignore a snapshot.
var (
	errOtherLog     = errors.New("it belongs to another log")
	errOtherProgram = errors.New("it was written by another build")
)

// snapshotEncoding encodes times with nanoseconds.
var snapshotEncoding = func() cbor.UserBufferEncMode {
	mode, err := cbor.EncOptions{Time: cbor.TimeRFC3339Nano}.UserBufferEncMode()
	if err != nil {
		panic(err) // the options are constants
	}
	return mode
}()

// A snapshot is stored as a checksum of the rest, the header, and the view.

// mark returns the last event of the snapshot.
func (s *snapshot) mark() mark { return mark{before: s.Before, at: s.At, id: s.ID, time: s.Time} }

// write appends a snapshot to out, with zeros in place of the checksum.
func (s *snapshot) write(v *projections.View, out *bytes.Buffer) error {
	out.Write(make([]byte, sha256.Size))
	if err := snapshotEncoding.MarshalToBuffer(s, out); err != nil {
		return err
	}
	return v.Save(out)
}

func addChecksum(data []byte) {
	sum := sha256.Sum256(data[sha256.Size:])
	copy(data, sum[:])
}

func openSnapshot(data []byte) (s *snapshot, err error) {
	if len(data) < sha256.Size {
		return nil, errors.New("it is truncated")
	}
	if sum := sha256.Sum256(data[sha256.Size:]); !bytes.Equal(sum[:], data[:sha256.Size]) {
		return nil, errors.New("its checksum does not match its content")
	}
	s = &snapshot{}
	s.view, err = cbor.UnmarshalFirst(data[sha256.Size:], s)
	return s, err
}

// A snapshot is due after snapshotEvents events, or after twice as many as there are machines if that is more, because
// its cost grows with the fleet. A busy server waits for a quiet moment, until there are busySnapshotFactor times as
// many.
const (
	snapshotEvents     = 20_000
	busySnapshotFactor = 5
)

// SnapshotDue reports whether another snapshot should be taken. quiet means that nothing was decided just now, so that
// no agent waits.
func (e *Engine) SnapshotDue(quiet bool) bool {
	e.mu.RLock()
	defer e.mu.RUnlock()
	enough := max(snapshotEvents, 2*len(e.view.Machines))
	return e.cfg.Snapshots != nil && (quiet && e.unsaved > enough || e.unsaved > busySnapshotFactor*enough)
}

// Snapshot stores the view, unless nothing has happened since the last snapshot. Nothing is folded while it is encoded,
// which takes a few microseconds per machine. It stores nothing while this server must not decide, see Stopped.
func (e *Engine) Snapshot() error {
	if e.cfg.Snapshots == nil {
		return nil
	}
	data, taken, err := e.takeSnapshot()
	if err != nil || taken == 0 {
		return err
	}
	addChecksum(data)
	if err := e.cfg.Snapshots.Store(data); err != nil {
		return err
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.unsaved -= taken // events that were folded meanwhile are not stored yet
	return nil
}

// takeSnapshot returns a snapshot without its checksum, and how many new events it contains. It returns 0 if there is
// nothing to store.
func (e *Engine) takeSnapshot() (data []byte, taken int, err error) {
	e.reads.turn <- struct{}{} // no read runs meanwhile
	defer func() { <-e.reads.turn }()
	e.Read(func(v *projections.View) {
		if e.unsaved == 0 || e.lostEvents() != nil || e.fencedBy(v) != nil { // the last read may have found lost events
			return
		}
		last := e.newest.folded()
		s := &snapshot{Made: e.made, Log: e.logID(), Decision: e.cfg.Rules.Version, Program: e.cfg.Program,
			Before: last.before, At: last.at, ID: last.id, Time: last.time, Pauses: e.ages.Marks()}
		out := bytes.NewBuffer(make([]byte, 0, bytesPerMachine*(len(v.Machines)+len(v.Deployments))))
		if err = s.write(v, out); err != nil {
			err = fmt.Errorf("take a snapshot at position %s: %w", s.At, err)
			return
		}
		data, taken = out.Bytes(), e.unsaved
	})
	return data, taken, err
}

// bytesPerMachine is the typical size of a machine or a deployment in a snapshot. The buffer is allocated once.
const bytesPerMachine = 1200

// resume starts from the stored snapshot if it is valid. It returns the header of a snapshot of this log, whichever
// build wrote it, or nil.
func (e *Engine) resume() *snapshot {
	if e.cfg.Snapshots == nil {
		return nil
	}
	s, view, err := e.loadSnapshot()
	switch {
	case errors.Is(err, errOtherProgram):
		e.log.Info("snapshot ignored: it was written by another build; folding the whole log")
	case err != nil:
		e.log.Warn("snapshot ignored; folding the whole log", zap.Error(err))
	case view != nil:
		e.view, e.newest, e.resumed = view, checkpoint{mark: s.mark()}, s.At
		e.ages.Resume(s.Pauses, e.cfg.Clock.Elapsed())
	}
	return s
}

func (e *Engine) loadSnapshot() (*snapshot, *projections.View, error) {
	data, err := e.cfg.Snapshots.Load()
	if err != nil || len(data) == 0 {
		return nil, nil, err
	}
	s, err := openSnapshot(data)
	switch {
	case err != nil:
		return nil, nil, err
	case s.Made != e.made:
		return nil, nil, errOtherLog
	case s.Decision != e.cfg.Rules.Version || s.Program != e.cfg.Program:
		return s, nil, errOtherProgram
	}
	view, err := e.cfg.Rules.Load(s.view)
	return s, view, err
}

// openLog folds the log, from the snapshot on if one is valid, and checks that it has the events that earlier runs have
// read.
func (e *Engine) openLog(ctx context.Context) error {
	s := e.resume()
	err := e.foldLog(ctx, s)
	if errors.Is(err, errRewound) { // the log lost events that this process has read
		err = e.rewound(ctx)
	}
	if err != nil {
		return fmt.Errorf("read the log after position %s: %w", e.view.Position, err)
	}
	if err := e.checkSeen(ctx, s); err != nil {
		return err
	}
	e.opened = true
	e.recordSeen(eventlog.Seen{Before: e.newest.before, Position: e.newest.at, ID: e.newest.id, Time: e.newest.time})
	e.announce()
	return nil
}

// foldLog folds the log. If it does not have the last event of the snapshot at that position, foldLog ignores the
// snapshot.
func (e *Engine) foldLog(ctx context.Context, s *snapshot) error {
	err := e.newest.readNew(ctx, e.cfg.Log, e.fold)
	if !errors.Is(err, errRewound) || s == nil || e.resumed == 0 || e.newest.at != s.At {
		return err
	}
	e.log.Warn("snapshot ignored: the log does not have its last event at that position; folding the whole log",
		zap.Stringer("position", s.At))
	e.view, e.newest, e.ages, e.resumed = e.newView(), checkpoint{}, projections.Ages{}, 0
	return e.newest.readNew(ctx, e.cfg.Log, e.fold)
}

// ResumedFrom returns the position of the snapshot from which this run started, or 0 if it folded the whole log.
func (e *Engine) ResumedFrom() eventlog.Position { return e.resumed }
