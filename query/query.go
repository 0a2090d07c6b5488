package query

import (
	"context"
	"time"

	"github.com/droverhq/drover/access"
	"github.com/droverhq/drover/api/problem"
	"github.com/droverhq/drover/doctor"
	"github.com/droverhq/drover/engine"
	"github.com/droverhq/drover/eventlog"
	"github.com/droverhq/drover/projections"
)

// Config says what Queries read. Engine, Log, Clock, Access and People are required.
type Config struct {
	Engine *engine.Engine
	// Log is the one that Engine folds, with the output of parts.
	Log   eventlog.Backend
	Clock engine.Clock
	// Access knows who was refused.
	Access *access.Access
	// People knows what persons are called.
	People *access.People
	// Versions counts the connected agents by their version; nil: none.
	Versions func() map[string]int
	// Ready says what else keeps this server from its work; nil: nothing does.
	Ready func() error
	// Storage says where the log is stored and how much room there is; nil: unknown.
	Storage func() doctor.Storage
	// Version is that of this program.
	Version string
}

// Queries answers every read of one server. Its methods may be called from many goroutines. Errors that a caller
// should see are *problem.Problem; problem.Of turns the others into one.
type Queries struct {
	cfg     Config
	arrived arrivals
	replays chan struct{} // a place in it is the right to read the whole log
}

// maxReplays is how many callers may read the whole log at once.
const maxReplays = 2

// New returns the queries of a server.
func New(cfg Config) *Queries {
	if cfg.Versions == nil {
		cfg.Versions = func() map[string]int { return nil }
	}
	if cfg.Ready == nil {
		cfg.Ready = func() error { return nil }
	}
	if cfg.Storage == nil {
		cfg.Storage = func() doctor.Storage { return doctor.Storage{} }
	}
	return &Queries{cfg: cfg, replays: make(chan struct{}, maxReplays)}
}

// Position is that of the last event that an answer given now has seen.
func (q *Queries) Position() eventlog.Position { return q.cfg.Engine.Position() }

// positionTimeout is how long a read waits for the position that it is to see.
const positionTimeout = 10 * time.Second

// See waits until the position in a text is seen, so that a read after it sees the write that was answered with that
// position. Empty text does not wait.
func (q *Queries) WaitForPosition(ctx context.Context, after string) error {
	if after == "" {
		return nil
	}
	position, err := eventlog.ParsePosition(after)
	if err != nil {
		return problem.Invalid("invalid position %.40q", after).WithHint("use the position from the answer to a write")
	}
	if q.Position() >= position {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, positionTimeout)
	defer cancel()
	if err := q.cfg.Engine.WaitFor(ctx, position); err != nil {
		return problem.Unavailable("position %s was not seen within %s; this server stands at %s", position,
			positionTimeout, q.Position()).
			WithHint("ask later, or the server that answered the write")
	}
	return nil
}

// withAges calls see with the view and the ages of this moment.
func withAges[T any](q *Queries, see func(*projections.View, projections.Age) T) (shown T) {
	q.cfg.Engine.ReadWithAge(func(v *projections.View, age projections.Age) { shown = see(v, age) })
	return shown
}

// replay folds the log again into a view of its own, up to the event for which take returns false. It is expensive, so
// only maxReplays run at once.
func (q *Queries) replay(ctx context.Context, take func(eventlog.Recorded) bool) (*projections.View, projections.Age, error) {
	release, err := q.acquireReplay(ctx)
	if err != nil {
		return nil, nil, err
	}
	defer release()
	return engine.Replay(ctx, q.cfg.Log, take)
}

// wholeLog waits for the right to read the whole log; release gives it back.
func (q *Queries) acquireReplay(ctx context.Context) (release func(), err error) {
	select {
	case q.replays <- struct{}{}:
		return func() { <-q.replays }, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}
