package accesslog

import (
	"cmp"
	"encoding/json"
	"errors"
	"net/netip"
	"sync"
	"time"

	"go.uber.org/zap"
	"golang.org/x/time/rate"

	"github.com/droverhq/drover/access"
)

// The rate limits. Denials of one network do not use up the limit of the others, and denials do not use up the limit of
// the other lines. What a valid token must not do has a limit for each token, so that invalid credentials do not hide it.
const (
	denialsEach      = 20 // of one network, or of one valid token, at once, then one per second
	denialsPerSecond = 50 // of all networks, and twice as many at once
	linesPerSecond   = 100
	// maxNetworks limits the memory. When it is reached, all networks and tokens start again.
	maxNetworks = 1000
	// reportEvery is how often the number of suppressed lines is written while the limit is exceeded.
	reportEvery = time.Minute
)

// Log is the access log of a server. It is safe for concurrent use. A request never waits for the file: another goroutine
// writes the lines, and lines are dropped and counted while it is behind.
type Log struct {
	logger *zap.Logger
	now    func() time.Time
	queue  chan func()   // work for the goroutine that writes; nil: lines go to logger
	ended  chan struct{} // closed when everything that was queued is written
	file   *file         // used by the goroutine that writes

	mu         sync.Mutex // guards the fields below
	networks   map[netip.Prefix]*rate.Limiter
	tokens     map[string]*rate.Limiter // by their ids
	denials    *rate.Limiter
	lines      *rate.Limiter
	suppressed count
	lost       count
	warned     bool
	closed     bool
}

const (
	// maxQueued is how many lines wait to be written.
	maxQueued = 1000
	// closeTimeout is how long Close waits for a disk that hangs.
	closeTimeout = 2 * time.Second
)

// count counts lines that were not written.
type count struct {
	lines int
	since time.Time
	// more is set if lines were counted since the last call of Flush.
	more bool
}

func (c *count) add(now time.Time) {
	if c.lines == 0 {
		c.since = now
	}
	c.lines, c.more = c.lines+1, true
}

// New returns the access log in a data folder. Without a folder, its lines go to logger.
func New(folder string, logger *zap.Logger, now func() time.Time) *Log {
	l := &Log{logger: logger, now: now, networks: map[netip.Prefix]*rate.Limiter{},
		tokens:  map[string]*rate.Limiter{},
		denials: rate.NewLimiter(denialsPerSecond, 2*denialsPerSecond),
		lines:   rate.NewLimiter(linesPerSecond, 10*linesPerSecond)}
	if folder != "" {
		l.file = &file{path: pathIn(folder), max: maxFileBytes}
		l.queue, l.ended = make(chan func(), maxQueued), make(chan struct{})
		go l.run()
	}
	return l
}

// Record writes a line, unless a limit is exceeded.
func (l *Log) Record(e access.Entry) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if now := l.now(); !l.allows(e, now) {
		l.suppressed.add(now)
		return
	}
	l.put(e)
}

// allows reports whether the limits permit a line.
func (l *Log) allows(e access.Entry, now time.Time) bool {
	if e.Kind != access.Denied {
		return l.lines.AllowN(now, 1)
	}
	if e.Reason == access.NotPermitted && e.Token != "" && e.Token != access.UnknownToken {
		return limiter(l.tokens, e.Token).AllowN(now, 1) && l.lines.AllowN(now, 1)
	}
	return limiter(l.networks, access.NetworkOf(e.Remote)).AllowN(now, 1) && l.denials.AllowN(now, 1)
}

// limiter returns the limiter of a network or a token.
func limiter[K comparable](all map[K]*rate.Limiter, key K) *rate.Limiter {
	limit := all[key]
	if limit == nil {
		if len(all) >= maxNetworks {
			clear(all)
		}
		limit = rate.NewLimiter(1, denialsEach)
		all[key] = limit
	}
	return limit
}

// put queues a line. The caller holds mu.
func (l *Log) put(e access.Entry) {
	line := lineOf(e)
	switch {
	case l.closed:
	case l.queue == nil:
		l.logger.Info("access", zap.Reflect("entry", json.RawMessage(line)))
	case !l.enqueue(func() { l.write(line) }):
		l.lose(nil)
	}
}

// enqueue passes work to the goroutine that writes, and reports whether there was room. The caller holds mu.
func (l *Log) enqueue(f func()) bool {
	select {
	case l.queue <- f:
		return true
	default:
		return false
	}
}

// lose counts a line that could not be written; err is nil if the writes are too slow. The caller holds mu.
func (l *Log) lose(err error) {
	l.lost.add(l.now())
	if !l.warned {
		l.logger.Warn("could not write the access log; its lines are dropped until this is fixed",
			zap.Error(cmp.Or(err, errSlow)))
	}
	l.warned = true
}

var errSlow = errors.New("the disk is too slow")

// run writes what is queued until Close.
func (l *Log) run() {
	defer close(l.ended)
	defer l.file.close()
	for f := range l.queue {
		f()
	}
}

// write writes a line, and before it the number of lines that were lost.
func (l *Log) write(line []byte) {
	l.mu.Lock()
	lost := l.lost
	l.lost = count{}
	l.mu.Unlock()
	var err error
	if lost.lines > 0 {
		err = l.file.write(lineOf(access.Entry{Time: lost.since.UTC(), Kind: access.Lost, Count: lost.lines}))
	}
	if err == nil {
		lost = count{}
		err = l.file.write(line)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if err == nil {
		l.warned = l.warned && l.lost.lines > 0
		return
	}
	if lost.lines > 0 { // they stay lost, and were the first
		lost.lines += l.lost.lines
		l.lost = lost
	}
	l.lose(err)
}

// Flush writes the number of suppressed lines once the limit is no longer exceeded, or after a minute. It is called
// every second.
func (l *Log) Flush() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.queue != nil && !l.closed {
		l.enqueue(l.file.reopen)
	}
	s := &l.suppressed
	if s.lines > 0 && (!s.more || l.now().Sub(s.since) >= reportEvery) {
		l.report()
	}
	s.more = false
}

// report writes the number of suppressed lines. Its time is that of the first of them.
func (l *Log) report() {
	e := access.Entry{Time: l.suppressed.since.UTC(), Kind: access.Suppressed, Count: l.suppressed.lines}
	l.suppressed = count{}
	l.put(e)
}

// Close writes what is queued and the number of suppressed lines, and closes the file. It gives up if the disk hangs.
func (l *Log) Close() {
	l.mu.Lock()
	if l.suppressed.lines > 0 {
		l.report()
	}
	if l.queue != nil && !l.closed {
		close(l.queue)
	}
	l.closed = true
	l.mu.Unlock()
	if l.ended == nil {
		return
	}
	select {
	case <-l.ended:
	case <-time.After(closeTimeout):
		l.logger.Warn("the last lines of the access log are not written, because the disk does not answer")
	}
}
