package engine

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
	"go.uber.org/zap"

	"github.com/droverhq/drover/domain"
	"github.com/droverhq/drover/eventlog"
	"github.com/droverhq/drover/projections"
	"github.com/droverhq/drover/triggers"
)

// Clock tells an engine the time.
type Clock interface {
	// Now is the wall clock.
	Now() time.Time
	// Elapsed is a monotonic clock with an arbitrary start.
	Elapsed() time.Duration
}

// Config configures an engine. Log, Clock and Server are required.
type Config struct {
	Log    eventlog.Log
	Clock  Clock
	Server domain.ID // new at every start
	// Rules are the folds and deciders; the zero value is CurrentRules. Scenarios and the simulation also run servers
	// with other rules.
	Rules Rules
	// Version and Address are recorded in the log when the server starts.
	Version, Address string
	// Parallel is the number of streams that are appended to at once; 0 means one after the other.
	Parallel int
	// Jitter bounds the pause before a new decision after a conflict. 0 means no pause.
	Jitter time.Duration
	// Snapshots stores snapshots of the view between runs of the server. If nil, each start folds the whole log.
	Snapshots Snapshots
	// Witness remembers the last event that this server has read. If nil, a start detects lost events only with a
	// snapshot.
	Witness Witness
	// Program identifies the exact build of this program. A snapshot of another build is ignored.
	Program string
	// OnTouched is called after each read with the machines whose work may have changed. It must not block.
	OnTouched func(machines map[string]struct{})
	// OnAccepted is called after each accepted command, when React is due. It must not block. It may be nil.
	OnAccepted func()
	// Logger logs one line per decision. If nil, nothing is logged.
	Logger *zap.Logger
}

// Engine folds one log, decides, and appends. Its methods are safe for concurrent use.
type Engine struct {
	cfg  Config
	made uuid.UUID // the id with which the log was created; LogID is its current id
	log  *zap.Logger
	// checker is nil if the log cannot lose its place.
	checker eventlog.Checker

	previewing chan struct{} // holds an element while a preview runs
	turns      turns
	reads      reads
	deciding   sync.Mutex        // one tick or reaction at a time
	newest     checkpoint        // guarded by reads.turn
	opened     bool              // openLog has returned; guarded by reads.turn
	resumed    eventlog.Position // see ResumedFrom

	mu      sync.RWMutex // guards the following fields
	view    *projections.View
	loss    lossReport
	doubts  doubts
	ages    projections.Ages
	batch   triggers.Batch
	own     map[uuid.UUID]struct{} // ids of the events that the current tick has appended
	changed chan struct{}
	unsaved int // events folded since the last snapshot

	signer   atomic.Pointer[signer] // the parsed server key
	faults   faults
	outages  outages
	presence presence
	wall     wallClock
	work     worklist // changed under mu, or under a read lock of mu while holding deciding
}

// Open folds the log, starting from a snapshot if a valid one exists. The returned engine decides nothing before Start.
func Open(ctx context.Context, cfg Config) (*Engine, error) {
	id, err := cfg.Log.ID(ctx)
	if err != nil {
		return nil, fmt.Errorf("read the log's id: %w", err)
	}
	if cfg.Rules.Version == 0 {
		cfg.Rules = CurrentRules()
	}
	e := &Engine{cfg: cfg, made: id, log: cfg.Logger, changed: make(chan struct{}), turns: newTurns(),
		reads: newReads(), previewing: make(chan struct{}, 1)}
	if e.log == nil {
		e.log = zap.NewNop()
	}
	e.checker, _ = cfg.Log.(eventlog.Checker)
	e.cfg.Log = measuredLog{cfg.Log, e}
	e.view = e.newView()
	e.presence.init()
	if err := e.openLog(ctx); err != nil {
		return nil, err
	}
	e.wall.emptyLog = e.view.Position == 0
	e.readClocks()
	e.takeBatch() // discards the events from before the start: they are not new, and can concern the whole fleet
	return e, nil
}

// newView returns the view of an empty log.
func (e *Engine) newView() *projections.View { return e.cfg.Rules.NewView() }

// Start records in the log that this server runs. From then on it may decide.
func (e *Engine) Start(ctx context.Context) error {
	started := domain.ServerStarted{DecisionVersion: e.cfg.Rules.Version, Version: e.cfg.Version,
		Address: e.cfg.Address}
	d := domain.Decision{Kind: "start", Stream: domain.ServerStream(e.cfg.Server), Events: []domain.Event{started}}
	if _, err := e.appendAll(ctx, e.planned([]domain.Decision{d})); err != nil {
		return fmt.Errorf("append the start of this server: %w", err)
	}
	e.presence.ready(e.cfg.Clock.Elapsed())
	return e.CatchUp(ctx)
}

// LogID returns the current id of the log: the id of its last accepted restore, or else the id with which it was
// created.
func (e *Engine) LogID() uuid.UUID {
	e.mu.RLock()
	defer e.mu.RUnlock()
	return e.logID()
}

// OriginalID returns the id with which the log was created.
func (e *Engine) OriginalID() uuid.UUID { return e.made }

// logID is LogID for a caller that holds mu.
func (e *Engine) logID() uuid.UUID {
	if n := len(e.view.Restores); n > 0 {
		return uuid.UUID(e.view.Restores[n-1].ID)
	}
	return e.made
}

// Server returns the id of this server.
func (e *Engine) Server() domain.ID { return e.cfg.Server }

// pageSize is how many events are folded at a time, so that readers of the view get their turn. Logs read ahead by the
// same number, so that neither side waits for the other.
const pageSize = 1000

// CatchUp folds everything that was appended before the call, by any server. If the log has lost events that were
// folded, it folds the log from the beginning, and LostEvents reports the loss from then on.
func (e *Engine) CatchUp(ctx context.Context) error { return e.CatchUpTo(ctx, e.ReadPoint()) }

// readNew folds what was appended since the last read. The caller holds reads.turn.
func (e *Engine) readNew(ctx context.Context) error {
	err := e.measure(ctx, reading, func() error {
		err := e.newest.readNew(ctx, e.cfg.Log, e.fold)
		if errors.Is(err, errRewound) {
			err = e.rewound(ctx)
		}
		return err
	})
	e.faults.read(ctx, err)
	if err != nil {
		return fmt.Errorf("read the log after position %s: %w", e.Position(), err)
	}
	return nil
}

// rewound records that the log has lost folded events, and folds what it has now.
func (e *Engine) rewound(ctx context.Context) error {
	evidence := fmt.Sprintf("server %s has read event %s at position %s", e.cfg.Server, e.newest.id, e.newest.at)
	e.ReportLostEvents(evidence)
	return e.refold(ctx, evidence)
}

// refold folds the log from its beginning. The current view stays in use until the new one is complete.
func (e *Engine) refold(ctx context.Context, evidence string) error {
	view, newest := e.newView(), checkpoint{}
	err := newest.readNew(ctx, e.cfg.Log, func(page []eventlog.Recorded) {
		for _, rec := range page {
			view.Apply(rec)
		}
	})
	if err != nil {
		return err
	}
	e.newest = newest
	e.mu.Lock()
	was, lost := e.logID(), e.lostIDs(e.view, view)
	e.view, e.batch, e.ages, e.work = view, triggers.Batch{}, projections.Ages{}, worklist{}
	e.publishDoubts()
	e.ages.Mark(view.Position, e.cfg.Clock.Elapsed())
	if !view.World().Restored(domain.ID(was)) { // no restore was accepted since
		e.loss.log, e.loss.evidence = e.logID(), evidence // the restored log can have an earlier id
		for _, id := range lost {
			e.loss.add(id)
		}
	}
	e.mu.Unlock()
	e.announce()
	return nil
}

// fold applies a page and wakes the callers that wait for its positions.
func (e *Engine) fold(page []eventlog.Recorded) {
	if len(page) == 0 {
		return
	}
	e.mu.Lock()
	for _, rec := range page {
		fact := e.view.Apply(rec)
		if _, own := e.own[rec.ID]; !own { // the next batch omits the events that a tick appended itself
			e.batch.Add(rec, fact)
		}
	}
	e.unsaved += len(page)
	e.ages.Mark(e.view.Position, e.cfg.Clock.Elapsed())
	e.mu.Unlock()
	e.recordPage(page)
	e.announce()
}

// announce publishes that the view has changed.
func (e *Engine) announce() {
	e.mu.Lock()
	if e.doubts.log != e.logID() {
		e.publishDoubts()
	}
	touched := e.view.Touched()
	e.work.touch(touched)
	e.presence.sessionsBegan(touched, e.cfg.Server, e.cfg.Clock.Elapsed())
	close(e.changed)
	e.changed = make(chan struct{})
	e.mu.Unlock()
	if e.cfg.OnTouched != nil && len(touched) > 0 {
		e.cfg.OnTouched(namesOf(touched))
	}
}

func namesOf(machines []*projections.Record) map[string]struct{} {
	names := make(map[string]struct{}, len(machines))
	for _, machine := range machines {
		names[machine.Name] = struct{}{}
	}
	return names
}

// Position returns the position of the last folded event.
func (e *Engine) Position() eventlog.Position {
	e.mu.RLock()
	defer e.mu.RUnlock()
	return e.view.Position
}

// Read calls fn with the view. fn must not change the view or retain it.
func (e *Engine) Read(fn func(*projections.View)) {
	e.mu.RLock()
	defer e.mu.RUnlock()
	fn(e.view)
}

// ReadWithAge calls fn with the view and the current ages of its events. Together they are the input of a decision.
func (e *Engine) ReadWithAge(fn func(*projections.View, projections.Age)) {
	e.mu.RLock()
	defer e.mu.RUnlock()
	fn(e.view, e.age(e.cfg.Clock.Elapsed()))
}

// age returns the ages at one moment. The caller holds mu.
func (e *Engine) age(now time.Duration) projections.Age { return e.ages.At(now) }

// Changed returns a channel that is closed when the view changes.
func (e *Engine) Changed() <-chan struct{} {
	e.mu.RLock()
	defer e.mu.RUnlock()
	return e.changed
}

// WaitFor waits until the view has reached position, or returns ctx's error. A client that waits for the position of
// its write sees that write on any server.
func (e *Engine) WaitFor(ctx context.Context, position eventlog.Position) error {
	for {
		changed := e.Changed()
		if e.Position() >= position {
			return nil
		}
		if err := e.CatchUp(ctx); err != nil && !errors.Is(err, eventlog.ErrUnavailable) {
			return err
		}
		if e.Position() >= position {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return fmt.Errorf("wait for position %s (the view is at %s): %w", position, e.Position(), ctx.Err())
		}
	}
}
