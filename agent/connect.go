package agent

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"regexp"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"github.com/droverhq/drover/api/client"
)

const (
	// firstDelay is the longest wait before the first retry.
	firstDelay = 200 * time.Millisecond
	// maxDelay bounds the wait, independently of the policy.
	maxDelay = 15 * time.Second
	// dialTimeout bounds the time to open a connection, and attemptTimeout the time until the welcome. A server may need
	// some time if ten thousand agents reconnect at the same time.
	dialTimeout    = 10 * time.Second
	attemptTimeout = 30 * time.Second
	// shortestAttempt is the least time that a server gets before the agent tries another one.
	shortestAttempt = time.Second
)

// Backoff computes the wait before each attempt to connect. The zero value is ready to use.
type Backoff struct {
	started bool
	last    time.Duration
}

// Next returns the wait before the next attempt. The first attempt has no wait, the second up to 200 ms, and each
// further attempt twice as long, up to limit. Random jitter subtracts up to half of it, so that agents do not all
// reconnect at the same time.
func (b *Backoff) Next(limit time.Duration) time.Duration {
	if !b.started {
		b.started = true
		return 0
	}
	b.last = min(max(2*b.last, firstDelay), limit)
	return b.last - rand.N(b.last/2+1)
}

// ConnectionLasted resets the delay if a connection lasted longer than the wait before it. Without this condition, a
// server that closes every connection immediately would make the agent reconnect without a pause.
func (b *Backoff) ConnectionLasted(span time.Duration) {
	if span >= b.last {
		b.last = 0
	}
}

// refusal is a server's Refused message as an error.
type refusal struct {
	client.Refused
	from string
	// proven means that it comes from a server of the agent's cluster. Anyone can send a refusal, so any other one changes
	// nothing.
	proven bool
}

func (r *refusal) Error() string {
	return fmt.Sprintf("%s refused this agent: %.500s", r.from, r.Reason)
}

// opener returns a connection to a server that has proved itself and accepted the agent. The error is a *refusal if the
// server has refused it.
type opener func(ctx context.Context, address string, hello client.Hello) (connection, client.Welcome, error)

// connector finds a server that accepts the agent. It must be used by one goroutine at a time.
type connector struct {
	open    opener
	servers []string
	log     *zap.Logger
	elapsed func() time.Duration // the monotonic clock

	next     int
	redirect string // the server that a refusal named, tried next
	backoff  Backoff
	// loggedReasons contains what was logged about each server since the last connection.
	loggedReasons map[string][]string
}

// shuffled returns the servers in a random order. With the same order for all agents, all would connect to the same
// server and then move to the next one together.
func shuffled(servers []string) []string {
	own := slices.Clone(servers)
	rand.Shuffle(len(own), func(i, j int) { own[i], own[j] = own[j], own[i] })
	return own
}

// connect tries the servers in turn until one accepts the agent. An attempt that took time shortens the wait before the
// next one. It returns an error only if ctx is done, or if the refusal is permanent (*refusal).
func (c *connector) connect(ctx context.Context, hello client.Hello, limit time.Duration) (*link, error) {
	hung, took := 0, time.Duration(0) // the number of attempts in sequence that no server answered
	for {
		select {
		case <-time.After(c.backoff.Next(limit) - took):
		case <-ctx.Done():
			return nil, ctx.Err()
		}
		address, begin, patience := c.address(), c.elapsed(), c.patience(hung, limit)
		l, err := c.tryServer(ctx, address, hello, patience)
		if err == nil {
			c.loggedReasons = nil
			return l, nil
		}
		if took = c.elapsed() - begin; took >= min(patience, dialTimeout) {
			hung++
		} else {
			hung = 0
		}
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		if refused := (*refusal)(nil); errors.As(err, &refused) && c.handleRefusal(refused) {
			return nil, err
		}
		c.logFailure(address, err)
	}
}

// patience returns how long an attempt may last after hung attempts that no server answered. A server that hangs, or
// whose log hangs, must not keep the agent from another server until its machine counts as offline: attempts at all
// servers together last no longer than limit. Each round without an answer doubles that, because all servers may be
// slow. An only server has all the time.
func (c *connector) patience(hung int, limit time.Duration) time.Duration {
	servers := len(c.servers)
	if servers == 1 {
		return attemptTimeout
	}
	longest := max(limit/time.Duration(servers), shortestAttempt)
	for range hung / servers {
		longest = min(2*longest, attemptTimeout)
	}
	return longest
}

// address returns the server to try next.
func (c *connector) address() string {
	if address := c.redirect; address != "" {
		c.redirect = ""
		return address
	}
	address := c.servers[c.next%len(c.servers)]
	c.next++
	return address
}

// handleRefusal records the server that a refusal names, to try it next, and reports whether the refusal is permanent. A
// refusal counts only if the server has proved itself.
// It ignores an unencrypted server if the current connection is encrypted or local, and every Unix socket.
func (c *connector) handleRefusal(r *refusal) (final bool) {
	if !r.proven {
		return false
	}
	if r.Server != "" {
		address, err := webSocketURL(r.Server)
		_, failed := c.loggedReasons[address]
		_, local := client.SocketPath(address) // another machine's server cannot know a socket of this one
		switch {
		case failed: // since the last connection: another server may take the session over
		case err == nil && !local && (isUnencrypted(r.from) || !isUnencrypted(address)):
			c.redirect = address
		default:
			c.log.Warn("ignored a redirect to an invalid or unencrypted server", zap.String("server", r.from),
				zap.String("other", r.Server))
		}
	}
	return r.Final
}

// maxReasons bounds how many reasons of one server are logged during one outage, and maxReasonBytes their length.
const (
	maxReasons     = 10
	maxReasonBytes = 1000
)

// ownPort is the port of this end of a connection, as errors of package net state it. Each attempt has another one.
var ownPort = regexp.MustCompile(`:\d+->`)

// logFailure logs why an attempt failed, unless an earlier attempt at the server failed for the same reason since the last
// connection. An outage can last for days.
func (c *connector) logFailure(address string, err error) {
	reason := err.Error()
	if len(reason) > maxReasonBytes {
		reason = strings.ToValidUTF8(reason[:maxReasonBytes], "") + "…"
	}
	same := ownPort.ReplaceAllString(reason, ":->")
	if isBroken(err) {
		same = "the connection was closed"
	}
	logged := c.loggedReasons[address]
	if slices.Contains(logged, same) || len(logged) >= maxReasons {
		return
	}
	if c.loggedReasons == nil {
		c.loggedReasons = map[string][]string{}
	}
	c.loggedReasons[address] = append(logged, same)
	c.log.Warn("could not connect; retrying", zap.String("server", address), zap.String("error", reason))
}

// isBroken reports whether a connection was open and then closed. The text depends on what was sent by then.
func isBroken(err error) bool {
	var at *net.OpError
	var attempt *attemptError
	if errors.As(err, &attempt) {
		return attempt.broken
	}
	return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.As(err, &at) && at.Op != "dial" && !at.Timeout()
}

// tryServer connects to one server that accepts the agent, for no longer than patience.
func (c *connector) tryServer(ctx context.Context, address string, hello client.Hello, patience time.Duration) (*link,
	error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	conn, welcome, err := c.open(ctx, address, hello)
	if err != nil {
		return nil, err
	}
	return &link{connection: conn, server: address, welcome: welcome, elapsed: c.elapsed, since: c.elapsed(),
		in: make(chan client.ToAgent), lost: make(chan error, 1), closed: make(chan struct{})}, nil
}

// link is a connection on which a server has accepted the agent.
type link struct {
	connection
	server  string
	welcome client.Welcome
	elapsed func() time.Duration // the monotonic clock
	since   time.Duration

	in   chan client.ToAgent
	lost chan error
	// closed is closed when nothing reads from in any more.
	closed       chan struct{}
	lastReceived atomic.Int64 // time of the last message; a time.Duration on the monotonic clock
	pinging      atomic.Bool  // a ping is in progress
}

// heard records that the server has just sent something.
func (l *link) heard() { l.lastReceived.Store(int64(l.elapsed())) }

// receive forwards the incoming messages until the connection is closed.
func (l *link) receive(ctx context.Context) {
	for {
		m, err := l.Receive(ctx)
		if err != nil {
			l.lost <- err
			return
		}
		l.heard()
		select {
		case l.in <- m:
		case <-l.closed:
		}
	}
}

// probe pings a server that sent nothing for longer than maxSilence, and drops the connection if the server does not
// answer within half of that time. Otherwise the agent might take many minutes to notice that the server's machine is
// down. With the ping, it notices no later than the fourth heartbeat, one heartbeat after the policy's offlineAfter.
func (l *link) probe(ctx context.Context, maxSilence time.Duration) {
	silence := l.elapsed() - time.Duration(l.lastReceived.Load())
	if silence < maxSilence || l.pinging.Swap(true) {
		return
	}
	go func() {
		defer l.pinging.Store(false)
		ctx, cancel := context.WithTimeout(ctx, maxSilence/2)
		defer cancel()
		if err := l.Ping(ctx); err != nil {
			l.Drop()
			return
		}
		l.heard()
	}()
}
