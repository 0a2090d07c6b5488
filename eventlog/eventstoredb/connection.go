package eventstoredb

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/EventStore/EventStore-Client-Go/v4/esdb"
	"go.uber.org/zap"
	"google.golang.org/grpc/metadata"

	"github.com/droverhq/drover/eventlog"
)

// Waits between two attempts to connect or to call; each doubles up to the longest, and
// half of it is drawn by lot, so that servers that lost the cluster together come back apart.
const (
	firstWait   = 20 * time.Millisecond
	longestWait = 3 * time.Second
)

// backoff is the wait after a number of failures in a row.
func backoff(failures int) time.Duration {
	wait := min(firstWait<<min(failures, 10), longestWait)
	return wait/2 + rand.N(wait/2)
}

// Bounds on clients, each of which has a connection of its own.
const (
	// mostIdle is how many are kept while nobody needs them.
	mostIdle = 8
	// mostRequests is how many requests are under way at once; reads that yield events are not counted.
	mostRequests = 32
)

// connection hands out clients that have found their node, each to one call at a time.
//
// The client finds its node when it is first used, and again after it lost it, and all its
// calls queue behind that. If it gives up it is dead for ever, and those in the queue, and
// those that report an error then, block for ever. A call that is alone on its client has
// nobody to wait for: it comes back when the search does. So no two calls share a client; a
// client searches once and is thrown away at the first sign of trouble, with all that were
// made before.
type connection struct {
	target target
	logger *zap.Logger
	// patience is how long a new client may take to find the leader.
	patience time.Duration
	// requests has room for each request under way.
	requests chan struct{}

	mu   sync.Mutex
	idle []*dialled
	// generation counts how often all clients were thrown away.
	generation int
	// connecting is closed when the attempt under way has ended; nil if there is none.
	connecting chan struct{}
	// failures are those in a row, failure what the last one was; nil if the last attempt did not fail.
	failures int
	failure  error
	closed   bool
}

// dialled is one client that has found its node.
type dialled struct {
	client     *esdb.Client
	generation int
}

func newConnection(t target, config Config) *connection {
	return &connection{target: t, logger: config.Logger, patience: config.Answer, requests: make(chan struct{}, mostRequests)}
}

// client returns a client that has found its node. It waits for one until the context
// ends; the error then wraps ErrUnavailable and says what is wrong.
func (c *connection) client(ctx context.Context) (*dialled, error) {
	for {
		s, connecting, err := c.take()
		if s != nil || err != nil {
			return s, err
		}
		select {
		case <-connecting:
		case <-ctx.Done():
			return nil, c.unreachable(ctx)
		}
	}
}

// take returns an idle client, or what to wait for until there is one.
func (c *connection) take() (*dialled, <-chan struct{}, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return nil, nil, eventlog.ErrClosed
	}
	if last := len(c.idle) - 1; last >= 0 {
		s := c.idle[last]
		c.idle = c.idle[:last]
		return s, nil, nil
	}
	if c.connecting == nil {
		if hopeless(c.failure) {
			err := c.failure
			c.failure = nil // the next call tries again
			return nil, nil, err
		}
		c.connecting = make(chan struct{})
		go c.connect(c.failures, c.generation)
	}
	return nil, c.connecting, nil
}

// unreachable is the error of a caller whose context ended while there was no client.
func (c *connection) unreachable(ctx context.Context) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.failure == nil {
		return fmt.Errorf("%w: %s does not answer: %w", eventlog.ErrUnavailable, c.target.shown, context.Cause(ctx))
	}
	return fmt.Errorf("%w: %w", c.failure, context.Cause(ctx))
}

// connect makes a client and wakes all who wait.
func (c *connection) connect(failures, generation int) {
	if failures > 0 {
		time.Sleep(backoff(failures - 1))
	}
	client, err := c.dial()
	c.mu.Lock()
	defer c.mu.Unlock()
	close(c.connecting)
	c.connecting = nil
	c.failure = err
	if err != nil {
		if c.failures++; c.failures == 1 {
			c.logger.Warn("event store cannot be reached", zap.String("server", c.target.shown), zap.Error(err))
		}
		return
	}
	if c.failures > 0 {
		c.logger.Info("event store is reached again", zap.String("server", c.target.shown), zap.Int("failures", c.failures))
	}
	c.failures = 0
	c.keep(&dialled{client: client, generation: generation})
}

// dial returns a client that has found its node.
func (c *connection) dial() (*esdb.Client, error) {
	configuration := c.target.configuration
	configuration.MaxDiscoverAttempts = 1
	configuration.Logger = c.hear
	client, err := esdb.NewClient(&configuration)
	if err != nil {
		return nil, hopelessError{fmt.Errorf("%w: %s: %w", eventlog.ErrUnavailable, c.target.shown, err)}
	}
	if err := c.try(client); err != nil {
		_ = client.Close()
		return nil, err
	}
	return client, nil
}

// try makes sure that a client has found a server that we can use, and the leader. Where it
// found another node, that node has named the leader, and the client has turned there.
//
// It is done here, by one goroutine, because the client leaves a connection behind each time
// that it is sent to a leader who cannot be reached.
func (c *connection) try(client *esdb.Client) error {
	version, err := client.GetServerVersion()
	if err != nil {
		return explain(err, c.target.shown)
	}
	if version.Major < 23 || version.Major == 23 && version.Minor < 10 {
		return fmt.Errorf("%w: %s has version %d.%d; 23.10 is the first that tells when a read of the whole log has caught up",
			eventlog.ErrForeign, c.target.shown, version.Major, version.Minor)
	}
	look := func() answer[*esdb.RecordedEvent] {
		ctx, cancel := context.WithTimeout(toLeader(context.Background()), c.patience)
		defer cancel()
		return guarded(ctx, client, func(ctx context.Context, client *esdb.Client) (*esdb.RecordedEvent, error) {
			return first(client.ReadStream(ctx, namesOf(c.target.log).identity(), esdb.ReadStreamOptions{From: esdb.Start{}, RequiresLeader: true}, 1))
		})
	}
	a := look()
	if a.meaning == moved {
		a = look()
	}
	if a.meaning == done || a.meaning == missing {
		return nil
	}
	return explain(a.err, c.target.shown)
}

// hear logs what the client says.
func (c *connection) hear(level esdb.LogLevel, format string, arguments ...any) {
	c.logger.Debug("event store client", zap.String("level", level), zap.String("says", fmt.Sprintf(format, arguments...)))
}

// keep puts a client by for the next call, or closes it. The lock is held.
func (c *connection) keep(s *dialled) {
	if c.closed || s.generation != c.generation || len(c.idle) == mostIdle {
		_ = s.client.Close()
		return
	}
	c.idle = append(c.idle, s)
}

// release gives a client back after a call; in doubt it is thrown away with all of its
// generation, which have the same node.
func (c *connection) release(s *dialled, doubt bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if doubt {
		c.lose(s)
	}
	c.keep(s)
}

// suspect throws away all clients of a generation but that of the call under way, which
// follows when it is released.
func (c *connection) suspect(s *dialled) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.lose(s)
}

func (c *connection) lose(s *dialled) {
	if s.generation == c.generation {
		c.generation++
		c.drain()
	}
}

func (c *connection) drain() {
	for _, s := range c.idle {
		_ = s.client.Close()
	}
	c.idle = nil
}

// close lets go of the cluster; calls under way close their clients when they end.
func (c *connection) close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.closed = true
	c.drain()
}

// errPanicked is a panic inside the client.
var errPanicked = errors.New("the client panicked")

// answer is what a call came back with.
type answer[T any] struct {
	value   T
	meaning upshot
	err     error
}

// start runs call on a client in a goroutine of its own, because the client may block
// whatever the context says, and panics at messages that it does not know. The client is
// given back when the goroutine ends.
func start[T any](ctx context.Context, c *connection, s *dialled, call request[T]) <-chan answer[T] {
	ctx = toLeader(ctx)
	answers := make(chan answer[T], 1)
	go func() {
		a := guarded(ctx, s.client, call)
		c.release(s, a.meaning == lost || a.meaning == moved)
		answers <- a
	}()
	return answers
}

// toLeader puts requires-leader into the outgoing metadata, because the client puts it where
// it never leaves the process; without it a node that no longer leads answers with old data.
func toLeader(ctx context.Context) context.Context {
	return metadata.AppendToOutgoingContext(ctx, "requires-leader", "true")
}

func guarded[T any](ctx context.Context, client *esdb.Client, call request[T]) (a answer[T]) {
	defer func() {
		if fault := recover(); fault != nil {
			a.err = fmt.Errorf("%w: %v", errPanicked, fault)
			a.meaning = upshotOf(a.err)
		}
	}()
	a.value, a.err = call(ctx, client)
	a.meaning = upshotOf(a.err)
	return a
}
