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

// Waits between two attempts to connect or to make a call. Each wait doubles up to the longest. Half of it is random,
// so that servers that lost their connections at the same time do not all reconnect at the same time.
const (
	firstWait   = 20 * time.Millisecond
	longestWait = 3 * time.Second
)

// backoff returns the wait after a number of consecutive failures.
func backoff(failures int) time.Duration {
	wait := min(firstWait<<min(failures, 10), longestWait)
	return wait/2 + rand.N(wait/2)
}

// Limits on clients. Each client has its own connection.
const (
	// maxIdle is how many unused clients are kept open.
	maxIdle = 8
	// maxRequests is how many requests may run at the same time. Reads that yield events do not count.
	maxRequests = 32
)

// connection pools clients that have found their node and gives each to one call at a time.
//
// A client looks for its node when it is first used and again after it has lost it. All its calls queue behind that
// search. If the search fails, the client is permanently closed, and the queued calls block forever, like any call that
// reports an error at that moment. A call that does not share its client returns when the search ends. Therefore no two
// calls share a client, a client searches only once, and after any error that may come from its connection it is
// discarded together with all older clients.
type connection struct {
	target target
	logger *zap.Logger
	// timeout limits how long a new client may take to find the leader.
	timeout time.Duration
	// requests has one slot for each running request.
	requests chan struct{}

	mu   sync.Mutex
	idle []*pooled
	// generation counts how often all clients were discarded.
	generation int
	// connecting is closed when the current connection attempt has ended; nil without an attempt.
	connecting chan struct{}
	// failures counts consecutive failures; failure is the last one, nil after a success.
	failures int
	failure  error
	closed   bool
}

// pooled is a client that has found its node.
type pooled struct {
	client     *esdb.Client
	generation int
}

func newConnection(t target, config Config) *connection {
	return &connection{target: t, logger: config.Logger, timeout: config.Timeout,
		requests: make(chan struct{}, maxRequests)}
}

// client returns a client that has found its node. It waits for one until the context is done; the error then wraps
// ErrUnavailable and contains the reason.
func (c *connection) client(ctx context.Context) (*pooled, error) {
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

// take returns an idle client, or a channel that is closed when the caller should try again.
func (c *connection) take() (*pooled, <-chan struct{}, error) {
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
		if permanent(c.failure) {
			err := c.failure
			c.failure = nil // the next call tries again
			return nil, nil, err
		}
		c.connecting = make(chan struct{})
		go c.connect(c.failures, c.generation)
	}
	return nil, c.connecting, nil
}

// unreachable returns the error of a call whose context was done before it got a client.
func (c *connection) unreachable(ctx context.Context) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.failure == nil {
		return fmt.Errorf("%w: %s does not answer: %w", eventlog.ErrUnavailable, c.target.shown, context.Cause(ctx))
	}
	return fmt.Errorf("%w: %w", c.failure, context.Cause(ctx))
}

// connect creates a client and wakes all waiting calls.
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
			c.logger.Warn("event store unreachable", zap.String("server", c.target.shown), zap.Error(err))
		}
		return
	}
	if c.failures > 0 {
		c.logger.Info("event store reachable again", zap.String("server", c.target.shown),
			zap.Int("failures", c.failures))
	}
	c.failures = 0
	c.keep(&pooled{client: client, generation: generation})
}

// dial returns a client that has found its node.
func (c *connection) dial() (*esdb.Client, error) {
	configuration := c.target.configuration
	configuration.MaxDiscoverAttempts = 1
	configuration.Logger = c.logClient
	client, err := esdb.NewClient(&configuration)
	if err != nil {
		return nil, permanentError{fmt.Errorf("%w: %s: %w", eventlog.ErrUnavailable, c.target.shown, err)}
	}
	if err := c.try(client); err != nil {
		_ = client.Close()
		return nil, err
	}
	return client, nil
}

// try checks that a client has found a supported server and its leader. A node that is not the leader names the
// leader, and the client then reconnects to it.
//
// This happens here, in one goroutine, because the client leaks a connection each time it is redirected to a leader
// that it cannot reach.
func (c *connection) try(client *esdb.Client) error {
	version, err := client.GetServerVersion()
	if err != nil {
		return explain(err, c.target.shown)
	}
	if version.Major < 23 || version.Major == 23 && version.Minor < 10 {
		return fmt.Errorf(
			"%w: %s has version %d.%d; use 23.10 or newer, which report when a read of the whole log has caught up",
			eventlog.ErrForeign, c.target.shown, version.Major, version.Minor)
	}
	probe := func() answer[*esdb.RecordedEvent] {
		ctx, cancel := context.WithTimeout(toLeader(context.Background()), c.timeout)
		defer cancel()
		return guarded(ctx, client, func(ctx context.Context, client *esdb.Client) (*esdb.RecordedEvent, error) {
			return first(client.ReadStream(ctx, namesOf(c.target.log).identity(),
				esdb.ReadStreamOptions{From: esdb.Start{}, RequiresLeader: true}, 1))
		})
	}
	a := probe()
	if a.meaning == moved {
		a = probe()
	}
	if a.meaning == done || a.meaning == streamMissing {
		return nil
	}
	return explain(a.err, c.target.shown)
}

// logClient logs a message from the client at debug level.
func (c *connection) logClient(level esdb.LogLevel, format string, arguments ...any) {
	c.logger.Debug("event store client", zap.String("level", level),
		zap.String("message", fmt.Sprintf(format, arguments...)))
}

// keep returns a client to the pool or closes it. The caller holds the lock.
func (c *connection) keep(s *pooled) {
	if c.closed || s.generation != c.generation || len(c.idle) == maxIdle {
		_ = s.client.Close()
		return
	}
	c.idle = append(c.idle, s)
}

// release returns a client after a call. If uncertain is set, it discards the client and all of its generation, because
// they are connected to the same node.
func (c *connection) release(s *pooled, uncertain bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if uncertain {
		c.lose(s)
	}
	c.keep(s)
}

// discardGeneration discards all idle clients of a generation. The client of the current call is discarded when it is
// released.
func (c *connection) discardGeneration(s *pooled) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.lose(s)
}

func (c *connection) lose(s *pooled) {
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

// close discards all idle clients. A running call closes its client when it ends.
func (c *connection) close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.closed = true
	c.drain()
}

// errPanicked reports a panic inside the client.
var errPanicked = errors.New("the client panicked")

// answer is the result of a call.
type answer[T any] struct {
	value   T
	meaning outcome
	err     error
}

// start makes a call in its own goroutine, because the client may block even after the context is done, and panics on
// unknown messages. The client is released when the goroutine ends.
func start[T any](ctx context.Context, c *connection, s *pooled, call request[T]) <-chan answer[T] {
	ctx = toLeader(ctx)
	answers := make(chan answer[T], 1)
	go func() {
		a := guarded(ctx, s.client, call)
		c.release(s, a.meaning == lost || a.meaning == moved)
		answers <- a
	}()
	return answers
}

// toLeader adds requires-leader to the outgoing metadata. The client itself sets it in a place that is never sent to
// the server. Without it, a node that is no longer the leader answers with stale data.
func toLeader(ctx context.Context) context.Context {
	return metadata.AppendToOutgoingContext(ctx, "requires-leader", "true")
}

func guarded[T any](ctx context.Context, client *esdb.Client, call request[T]) (a answer[T]) {
	defer func() {
		if fault := recover(); fault != nil {
			a.err = fmt.Errorf("%w: %v", errPanicked, fault)
			a.meaning = outcomeOf(a.err)
		}
	}()
	a.value, a.err = call(ctx, client)
	a.meaning = outcomeOf(a.err)
	return a
}
