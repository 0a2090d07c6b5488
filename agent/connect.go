package agent

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"github.com/droverhq/drover/api/client"
)

const (
	// firstDelay is the longest wait before the first new attempt.
	firstDelay = 200 * time.Millisecond
	// longestDelay bounds the wait whatever the policy says.
	longestDelay = 15 * time.Second
	// dialWithin bounds the opening of a connection, greetWithin the wait for the welcome: a
	// server that ten thousand agents come back to at once may need a moment.
	dialWithin  = 10 * time.Second
	greetWithin = 20 * time.Second
)

// Backoff is the wait before each attempt to connect; the zero value does not wait at first.
type Backoff struct {
	begun bool
	last  time.Duration
}

// Next is the wait before the next attempt: none, then up to 200 ms, then doubled up to limit;
// of each up to half is taken off by chance, so that agents do not come back all at once.
func (b *Backoff) Next(limit time.Duration) time.Duration {
	if !b.begun {
		b.begun = true
		return 0
	}
	b.last = min(max(2*b.last, firstDelay), limit)
	return b.last - rand.N(b.last/2+1)
}

// Lived begins anew if a connection lived longer than the wait for it. A server that ends
// each connection as soon as it stands does not make an agent come back without a pause.
func (b *Backoff) Lived(span time.Duration) {
	if span >= b.last {
		b.last = 0
	}
}

// refusal is a server's Refused as an error.
type refusal struct {
	client.Refused
	from string
}

func (r *refusal) Error() string {
	return fmt.Sprintf("%s refused this agent: %.500s", r.from, r.Reason)
}

// connector finds a server that welcomes the agent. One goroutine uses it at a time.
type connector struct {
	dial    dialer
	servers []string
	log     *zap.Logger

	tries   int
	ahead   string // the server that a refusal named
	backoff Backoff
	said    map[string]string // the last complaint of each server, so that an outage does not fill the log
}

// shuffled are the servers in an order of this agent's own. If all agents had the same, all would be on one server, and
// move together to the next.
func shuffled(servers []string) []string {
	own := slices.Clone(servers)
	rand.Shuffle(len(own), func(i, j int) { own[i], own[j] = own[j], own[i] })
	return own
}

// connect tries the servers in turn until one welcomes the agent. It returns an error only
// if ctx ended, or a *refusal that is final.
func (c *connector) connect(ctx context.Context, hello client.Hello, limit time.Duration) (*link, error) {
	for {
		select {
		case <-time.After(c.backoff.Next(limit)):
		case <-ctx.Done():
			return nil, ctx.Err()
		}
		address := c.address()
		l, err := c.greet(ctx, address, hello)
		if err == nil {
			c.said = nil
			return l, nil
		}
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		if refused := (*refusal)(nil); errors.As(err, &refused) && c.refused(refused) {
			return nil, err
		}
		c.complain(address, err)
	}
}

// address is the server to be tried now.
func (c *connector) address() string {
	if address := c.ahead; address != "" {
		c.ahead = ""
		return address
	}
	address := c.servers[c.tries%len(c.servers)]
	c.tries++
	return address
}

// refused notes where a refusal sends the agent and reports whether it is final. From a
// connection that nobody can listen in on, no way leads to one where they can.
func (c *connector) refused(r *refusal) (final bool) {
	if r.Server != "" {
		address, err := webSocketURL(r.Server)
		if err == nil && (isOpen(r.from) || !isOpen(address)) {
			c.ahead = address
		} else {
			c.log.Warn("a server named another one that is passed over", zap.String("server", r.from), zap.String("other", r.Server))
		}
	}
	return r.Final
}

func (c *connector) complain(address string, err error) {
	if c.said == nil {
		c.said = map[string]string{}
	}
	if c.said[address] == err.Error() {
		return
	}
	c.said[address] = err.Error()
	c.log.Warn("not connected; trying again", zap.String("server", address), zap.Error(err))
}

// greet opens a line, says hello and waits for the answer.
func (c *connector) greet(ctx context.Context, address string, hello client.Hello) (*link, error) {
	dialing, cancel := context.WithTimeout(ctx, dialWithin)
	defer cancel()
	open, err := c.dial(dialing, address)
	if err != nil {
		return nil, err
	}
	greeting, cancel := context.WithTimeout(ctx, greetWithin)
	defer cancel()
	welcome, err := hear(greeting, open, hello, address)
	if err != nil {
		open.Drop()
		return nil, err
	}
	return &link{line: open, server: address, welcome: welcome, since: time.Now(),
		in: make(chan client.ToAgent), lost: make(chan error, 1), over: make(chan struct{})}, nil
}

// hear says hello and returns the welcome; a refusal is an error.
func hear(ctx context.Context, open line, hello client.Hello, address string) (client.Welcome, error) {
	if err := open.Send(ctx, client.FromAgent{Hello: &hello}); err != nil {
		return client.Welcome{}, fmt.Errorf("say hello: %w", err)
	}
	for {
		m, err := open.Receive(ctx)
		switch {
		case err != nil:
			return client.Welcome{}, fmt.Errorf("wait for the welcome: %w", err)
		case m.Refused != nil:
			return client.Welcome{}, &refusal{Refused: *m.Refused, from: address}
		case m.Welcome != nil:
			return *m.Welcome, nil
		}
	}
}

// link is a line on which the agent was welcomed.
type link struct {
	line
	server  string
	welcome client.Welcome
	since   time.Time

	in   chan client.ToAgent
	lost chan error
	// over is closed when nobody takes from in any more.
	over  chan struct{}
	heard atomic.Int64 // when the server was last heard, in Unix nanoseconds
	asked atomic.Bool  // a ping is under way
}

// receive passes on what comes in, until the line is over.
func (l *link) receive(ctx context.Context) {
	for {
		m, err := l.Receive(ctx)
		if err != nil {
			l.lost <- err
			return
		}
		l.heard.Store(time.Now().UnixNano())
		select {
		case l.in <- m:
		case <-l.over:
		}
	}
}

// probe asks a server that was silent for longer than patience whether it is there, and
// drops the line if it does not answer within half of that. Without it an agent would not notice
// for many minutes that its server's machine is gone; so it notices at the fourth heartbeat at
// the latest, which is one more than its policy's offlineAfter has.
func (l *link) probe(ctx context.Context, patience time.Duration) {
	silence := time.Since(time.Unix(0, l.heard.Load()))
	if silence < patience || l.asked.Swap(true) {
		return
	}
	go func() {
		defer l.asked.Store(false)
		ctx, cancel := context.WithTimeout(ctx, patience/2)
		defer cancel()
		if err := l.Ping(ctx); err != nil {
			l.Drop()
			return
		}
		l.heard.Store(time.Now().UnixNano())
	}()
}
