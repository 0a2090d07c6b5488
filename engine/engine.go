package engine

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/google/uuid"
	"go.uber.org/zap"

	"github.com/droverhq/drover/domain"
	"github.com/droverhq/drover/eventlog"
	"github.com/droverhq/drover/projections"
	"github.com/droverhq/drover/triggers"
)

// Clock is where an engine gets the time from.
type Clock interface {
	// Now is the wall clock.
	Now() time.Time
	// Elapsed is a clock that only rises, from any beginning.
	Elapsed() time.Duration
}

// Config says how an engine runs. Log, Clock and Server are required.
type Config struct {
	Log    eventlog.Log
	Clock  Clock
	Server domain.ID // new at every start
	// Rules are what the engine folds and decides by; the zero value is CurrentRules. Scenarios and the simulation
	// run servers with other rules.
	Rules Rules
	// Version and Address are what this server says of itself in the log.
	Version, Address string
	// Parallel is how many streams are appended to at once; 0 is one after the other.
	Parallel int
	// Jitter bounds the pause before something is decided again after a conflict, once for each conflict before it; 0 is none.
	Jitter time.Duration
	// Snapshots keep the view from one start to the next; nil: each start folds the whole log.
	Snapshots Snapshots
	// Program names this program to the letter: a snapshot by another one is not used.
	Program string
	// OnTouched hears, after each read, of the machines whose work may have changed. It must not block.
	OnTouched func(machines map[string]struct{})
	// OnAccepted is called after each accepted command: React is due. It must not block. Nil: nobody reacts.
	OnAccepted func()
	// Logger gets one line per decision; nil is silence.
	Logger *zap.Logger
}

// Engine folds one log, decides and appends. Its methods may be called from many goroutines.
type Engine struct {
	cfg  Config
	made uuid.UUID // the id that the log was made with; LogID is the one it goes by
	log  *zap.Logger

	reads    reads
	deciding sync.Mutex        // one tick or reaction at a time
	newest   checkpoint        // belongs to who reads
	resumed  eventlog.Position // see Resumed

	mu      sync.RWMutex // guards what follows
	view    *projections.View
	loss    lossReport
	ages    projections.Ages
	batch   triggers.Batch
	own     map[uuid.UUID]struct{} // what the tick that runs has appended
	changed chan struct{}
	unsaved int // events folded since the last snapshot

	faults   faults
	presence presence
	work     worklist // changed by who holds mu, or reads under it and holds deciding
}

// Open folds the log, from a snapshot on if there is one that fits, and returns an engine that has not yet said that it started.
func Open(ctx context.Context, cfg Config) (*Engine, error) {
	id, err := cfg.Log.ID(ctx)
	if err != nil {
		return nil, fmt.Errorf("read the log's id: %w", err)
	}
	if cfg.Rules.Version == 0 {
		cfg.Rules = CurrentRules()
	}
	e := &Engine{cfg: cfg, made: id, log: cfg.Logger, changed: make(chan struct{}), reads: newReads()}
	if e.log == nil {
		e.log = zap.NewNop()
	}
	e.view = e.newView()
	e.presence.init()
	if err := e.openLog(ctx); err != nil {
		return nil, err
	}
	e.takeBatch() // what happened before is no news, and may be the whole fleet
	return e, nil
}

// empty is the view of an empty log.
func (e *Engine) newView() *projections.View { return e.cfg.Rules.NewView() }

// Start says in the log that this server runs. From then on it may decide.
func (e *Engine) Start(ctx context.Context) error {
	started := domain.ServerStarted{DecisionVersion: e.cfg.Rules.Version, Version: e.cfg.Version, Address: e.cfg.Address}
	d := domain.Decision{Kind: "start", Stream: domain.ServerStream(e.cfg.Server), Events: []domain.Event{started}}
	if _, err := e.appendAll(ctx, e.planned([]domain.Decision{d})); err != nil {
		return fmt.Errorf("say in the log that this server started: %w", err)
	}
	e.presence.ready(e.cfg.Clock.Elapsed())
	return e.CatchUp(ctx)
}

// LogID is the id that the log goes by: the one it was made with, or that of the last restore that was accepted.
func (e *Engine) LogID() uuid.UUID {
	e.mu.RLock()
	defer e.mu.RUnlock()
	return e.logID()
}

// Made is the id that the log was made with, whatever it goes by.
func (e *Engine) Made() uuid.UUID { return e.made }

// logID is LogID for who holds mu.
func (e *Engine) logID() uuid.UUID {
	if n := len(e.view.Restores); n > 0 {
		return uuid.UUID(e.view.Restores[n-1].ID)
	}
	return e.made
}

// Server is this server's id.
func (e *Engine) Server() domain.ID { return e.cfg.Server }

// pageSize is how many events are folded at a time, so that readers of the view get their turn. It is what a log reads
// ahead, so that neither waits for the other.
const pageSize = 1000

// CatchUp folds what was appended before the call, by anyone. If the log has lost what was folded before, it
// is folded afresh, and doubted from then on.
func (e *Engine) CatchUp(ctx context.Context) error { return e.CatchUpTo(ctx, e.ReadPoint()) }

// readNew folds what was appended since the last read. One at a time does.
func (e *Engine) readNew(ctx context.Context) error {
	err := e.newest.readNew(ctx, e.cfg.Log, e.fold)
	if errors.Is(err, errRewound) {
		err = e.rewound(ctx)
	}
	e.faults.read(ctx, err)
	if err != nil {
		return fmt.Errorf("read the log after position %s: %w", e.Position(), err)
	}
	return nil
}

// rewound doubts the log, as it has lost what was folded of it, and folds what is there.
func (e *Engine) rewound(ctx context.Context) error {
	evidence := fmt.Sprintf("server %s has read event %s at position %s", e.cfg.Server, e.newest.id, e.newest.at)
	e.ReportLostEvents(evidence)
	return e.refold(ctx, evidence)
}

// refold folds the log from its beginning, beside the view that is there until the new one is whole.
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
	was := e.logID()
	e.view, e.batch, e.ages, e.work = view, triggers.Batch{}, projections.Ages{}, worklist{}
	e.ages.Mark(view.Position, e.cfg.Clock.Elapsed())
	if !view.World().Restored(domain.ID(was)) { // else somebody has accepted that
		e.loss = lossReport{log: e.logID(), evidence: evidence} // it may go by an earlier id now
	}
	e.mu.Unlock()
	e.announce()
	return nil
}

// fold applies a page and wakes whoever waits for its positions.
func (e *Engine) fold(page []eventlog.Recorded) {
	if len(page) == 0 {
		return
	}
	e.mu.Lock()
	for _, rec := range page {
		fact := e.view.Apply(rec)
		if _, own := e.own[rec.ID]; !own { // what a tick wrote itself is not news to the next one
			e.batch.Add(rec, fact)
		}
	}
	e.unsaved += len(page)
	e.ages.Mark(e.view.Position, e.cfg.Clock.Elapsed())
	e.mu.Unlock()
	e.announce()
}

// announce says that the view has moved on.
func (e *Engine) announce() {
	e.mu.Lock()
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

// Position is that of the last event folded.
func (e *Engine) Position() eventlog.Position {
	e.mu.RLock()
	defer e.mu.RUnlock()
	return e.view.Position
}

// Read calls see with the view, which must not be changed or kept.
func (e *Engine) Read(see func(*projections.View)) {
	e.mu.RLock()
	defer e.mu.RUnlock()
	see(e.view)
}

// Judge calls see with the view and the ages that a decision would be taken on now.
func (e *Engine) ReadWithAge(see func(*projections.View, projections.Age)) {
	e.mu.RLock()
	defer e.mu.RUnlock()
	see(e.view, e.age(e.cfg.Clock.Elapsed()))
}

// age is the age of positions at one moment. The caller holds mu.
func (e *Engine) age(now time.Duration) projections.Age { return e.ages.At(now) }

// Changed is closed when the view moves on.
func (e *Engine) Changed() <-chan struct{} {
	e.mu.RLock()
	defer e.mu.RUnlock()
	return e.changed
}

// WaitFor returns once the view has reached position, or with ctx's error. It lets a client see its own write on any server.
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
			return fmt.Errorf("wait for position %s (the log stands at %s): %w", position, e.Position(), ctx.Err())
		}
	}
}
