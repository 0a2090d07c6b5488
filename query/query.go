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

// Config configures Queries. Engine, Log, Clock, Access and People are required.
type Config struct {
	Engine *engine.Engine
	// Log is the log that Engine folds. It also stores the output of parts.
	Log   eventlog.Backend
	Clock engine.Clock
	// Access records which callers were refused.
	Access *access.Access
	// People stores the names of people.
	People *access.People
	// Versions counts the connected agents by version. It may be nil.
	Versions func() map[string]int
	// Forms counts the connected agents by the form of their authentication: client.ProofForm and others. It may be nil.
	Forms func() map[string]int
	// Limited lists the machines whose agents have recently reached a limit. It may be nil.
	Limited func() []doctor.Limited
	// Ready returns a further reason why this server is not ready. It may be nil.
	Ready func() error
	// Storage returns where the log is stored and how much space is left. It may be nil.
	Storage func() doctor.Storage
	// Version is the version of this program.
	Version string
}

// Queries answers every read of one server. Its methods are safe for concurrent use. Errors for the caller are
// *problem.Problem; problem.Of converts the others.
type Queries struct {
	cfg     Config
	arrived arrivals
	replays chan struct{} // holding one of its places is the right to read the whole log
}

// maxReplays is how many callers may read the whole log at once.
const maxReplays = 2

// New returns the queries of a server.
func New(cfg Config) *Queries {
	if cfg.Forms == nil {
		cfg.Forms = func() map[string]int { return nil }
	}
	if cfg.Versions == nil {
		cfg.Versions = func() map[string]int { return nil }
	}
	if cfg.Limited == nil {
		cfg.Limited = func() []doctor.Limited { return nil }
	}
	if cfg.Ready == nil {
		cfg.Ready = func() error { return nil }
	}
	if cfg.Storage == nil {
		cfg.Storage = func() doctor.Storage { return doctor.Storage{} }
	}
	return &Queries{cfg: cfg, replays: make(chan struct{}, maxReplays)}
}

// Position returns the position of the last event that is included in a result that is computed now.
func (q *Queries) Position() eventlog.Position { return q.cfg.Engine.Position() }

// positionTimeout bounds how long a read waits for a position.
const positionTimeout = 10 * time.Second

// WaitForPosition waits until the view includes the position in after, so that a client can read its own write. It does
// not wait if after is empty.
func (q *Queries) WaitForPosition(ctx context.Context, after string) error {
	if after == "" {
		return nil
	}
	position, err := eventlog.ParsePosition(after)
	if err != nil {
		return problem.Invalid("invalid position %.40q", after).WithHint("use the position that a write returned")
	}
	if q.Position() >= position {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, positionTimeout)
	defer cancel()
	if err := q.cfg.Engine.WaitFor(ctx, position); err != nil {
		return problem.Unavailable("position %s was not reached within %s; this server is at %s", position,
			positionTimeout, q.Position()).
			WithHint("try again later, or ask the server that accepted the write")
	}
	return nil
}

// withAges calls fn with the view and the current ages, and returns its result.
func withAges[T any](q *Queries, fn func(*projections.View, projections.Age) T) (shown T) {
	q.cfg.Engine.ReadWithAge(func(v *projections.View, age projections.Age) { shown = fn(v, age) })
	return shown
}

// replay folds the log again into a new view, up to the moment that find returns. It is expensive, so at most
// maxReplays run at once.
func (q *Queries) replay(ctx context.Context, find func(now time.Time) (engine.Moment, error)) (*projections.View,
	projections.Age, error) {
	release, err := q.acquireReplay(ctx)
	if err != nil {
		return nil, nil, err
	}
	defer release()
	_, now := q.cfg.Engine.CredibleTime()
	m, err := find(now)
	if err != nil {
		return nil, nil, err
	}
	return engine.Replay(ctx, q.cfg.Log, m)
}

// acquireReplay waits for the right to read the whole log. The caller must call release.
func (q *Queries) acquireReplay(ctx context.Context) (release func(), err error) {
	select {
	case q.replays <- struct{}{}:
		return func() { <-q.replays }, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}
