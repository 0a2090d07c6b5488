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

	"github.com/droverhq/drover/domain"
	"github.com/droverhq/drover/eventlog"
	"github.com/droverhq/drover/projections"
)

// Snapshots keep the last snapshot of the view from one run of a server to the next. A snapshot is a cache: without one, or
// with one that does not fit, the whole log is folded, and comes to the same.
type Snapshots interface {
	// Load returns what was stored last; nothing and no error if there is none.
	Load() ([]byte, error)
	// Store puts data in the place of what was there, whole or not at all.
	Store(data []byte) error
}

// snapshot is the view with what it stands for. It is good for one log, as folded by one program, and as long as the log
// has the event that was folded last.
type snapshot struct {
	Made     uuid.UUID // the id that the log was made with
	Log      uuid.UUID // the id that it went by
	Decision int
	Program  string
	Before   eventlog.Position // the witness
	At       eventlog.Position
	ID       uuid.UUID
	Time     time.Time
	Pauses   []eventlog.Position // see projections.Ages
	view     []byte
}

// What a snapshot is not used for: it is of another log, or was made by another program or by other rules.
var (
	errOtherLog     = errors.New("it is of another log")
	errOtherProgram = errors.New("it is by another program")
)

// snapshotEncoding writes times to the nanosecond.
var snapshotEncoding = func() cbor.UserBufferEncMode {
	mode, err := cbor.EncOptions{Time: cbor.TimeRFC3339Nano}.UserBufferEncMode()
	if err != nil {
		panic(err) // the option is ours
	}
	return mode
}()

// A snapshot is kept as a checksum and what that is over: what it stands for, and then the view.

// write puts a snapshot into out, behind the place of its checksum.
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
		return nil, errors.New("it is cut short")
	}
	if sum := sha256.Sum256(data[sha256.Size:]); !bytes.Equal(sum[:], data[:sha256.Size]) {
		return nil, errors.New("its checksum is not that of its content")
	}
	s = &snapshot{}
	s.view, err = cbor.UnmarshalFirst(data[sha256.Size:], s)
	return s, err
}

// snapshotEvents is after how many events a snapshot is worth it, or after twice as many as there are machines if that is more, as
// it takes the longer the more there are. A server that is busy waits for a quiet moment until there are busySnapshotFactor times as many.
const (
	snapshotEvents     = 20_000
	busySnapshotFactor = 5
)

// SnapshotDue says that so much has happened since the last snapshot that another one should be taken. quiet says that nothing was
// decided just now: agents do not wait for anything.
func (e *Engine) SnapshotDue(quiet bool) bool {
	e.mu.RLock()
	defer e.mu.RUnlock()
	enough := max(snapshotEvents, 2*len(e.view.Machines))
	return e.cfg.Snapshots != nil && (quiet && e.unsaved > enough || e.unsaved > busySnapshotFactor*enough)
}

// Snapshot stores the view as it is, if anything has happened since the last time. While it is taken nothing is folded: that is
// some microseconds for each machine. A log that is doubted, or that a newer drover writes to, is none to remember.
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
	e.unsaved -= taken // what was not stored is still to be
	return nil
}

// takeSnapshot returns a snapshot, not sealed yet, and how many events are in it that no earlier one has: none where there is nothing
// to take.
func (e *Engine) takeSnapshot() (data []byte, taken int, err error) {
	e.reads.turn <- struct{}{} // nothing is folded meanwhile
	defer func() { <-e.reads.turn }()
	e.Read(func(v *projections.View) {
		if e.unsaved == 0 || e.lostEvents() != nil || e.fencedBy(v) != nil { // a read that ended a moment ago may have found that out
			return
		}
		s := &snapshot{Made: e.made, Log: e.logID(), Decision: e.cfg.Rules.Version, Program: e.cfg.Program,
			Before: e.newest.before, At: e.newest.at, ID: e.newest.id, Time: e.newest.time, Pauses: e.ages.Marks()}
		out := bytes.NewBuffer(make([]byte, 0, bytesPerMachine*(len(v.Machines)+len(v.Deployments))))
		if err = s.write(v, out); err != nil {
			err = fmt.Errorf("take a snapshot at position %s: %w", s.At, err)
			return
		}
		data, taken = out.Bytes(), e.unsaved
	})
	return data, taken, err
}

// bytesPerMachine is about what a machine or a deployment takes in a snapshot: room that is made at once need not be made anew.
const bytesPerMachine = 1200

// resume begins with the snapshot that is there, if it is one of this log by this program. It returns what the snapshot
// remembers of this log, which holds whichever program made it; nil for nothing.
func (e *Engine) resume() *snapshot {
	if e.cfg.Snapshots == nil {
		return nil
	}
	s, view, err := e.loadSnapshot()
	switch {
	case errors.Is(err, errOtherProgram):
		e.log.Info("the snapshot is by another program, or another build of this one; the whole log is folded")
	case err != nil:
		e.log.Warn("the snapshot is not used; the whole log is folded", zap.Error(err))
	case view != nil:
		e.view, e.newest, e.resumed = view, checkpoint{before: s.Before, at: s.At, id: s.ID, time: s.Time}, s.At
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

// openLog folds the log: what came after the snapshot, or all of it.
func (e *Engine) openLog(ctx context.Context) error {
	err := e.foldLog(ctx, e.resume())
	if errors.Is(err, errRewound) { // it is this very run that has read what is lost
		err = e.rewound(ctx)
	}
	if err != nil {
		return fmt.Errorf("read the log after position %s: %w", e.view.Position, err)
	}
	e.announce()
	return nil
}

func (e *Engine) foldLog(ctx context.Context, s *snapshot) error {
	if s == nil || e.resumed > 0 {
		err := e.newest.readNew(ctx, e.cfg.Log, e.fold)
		if !errors.Is(err, errRewound) || s == nil || e.newest.at != s.At {
			return err
		}
		e.log.Warn("the snapshot is not used: the log does not have its last event there; the whole log is folded", zap.Stringer("position", s.At))
	}
	return e.foldAndFind(ctx, s)
}

// lookFor folds the whole log and looks for the event that a snapshot ends with. If the log has it nowhere, and nobody has accepted a
// restore since, it has lost it: an older copy took its place while this server was down.
func (e *Engine) foldAndFind(ctx context.Context, s *snapshot) error {
	found := false
	e.view, e.newest, e.ages, e.resumed = e.newView(), checkpoint{}, projections.Ages{}, 0
	err := e.newest.readNew(ctx, e.cfg.Log, func(page []eventlog.Recorded) {
		for _, rec := range page {
			found = found || rec.ID == s.ID && rec.Time.Equal(s.Time)
		}
		e.fold(page)
	})
	if err == nil && !found && !e.view.World().Restored(domain.ID(s.Log)) {
		e.ReportLostEvents(fmt.Sprintf("a server that ran before has read event %s at position %s", domain.ID(s.ID), s.At))
	}
	return err
}

// Resumed is the position of the snapshot that this start went on from; 0 if it folded the whole log.
func (e *Engine) ResumedFrom() eventlog.Position { return e.resumed }
