package api

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/droverhq/drover/access"
	"github.com/droverhq/drover/api/client"
	"github.com/droverhq/drover/api/problem"
)

const (
	// costlyKey is the key of a route's metadata that marks a read whose cost grows with the log or with the fleet.
	costlyKey = "costly" // true
	// maxWaitingReads is how many costly reads of one token can wait for the one that is answered.
	maxWaitingReads = 64
	// readPause is how long a token pauses after a costly read, in relation to the time that the read took. A third of the
	// time at most goes to the reads of one token, so that the commands of others do not wait for a processor.
	readPause = 2
	// maxReadPause bounds the pause, because a slow reader makes its read long without using a processor.
	maxReadPause = time.Second
	// freeRead is how long a costly read can take without a pause. Most reads are shorter.
	freeRead = 20 * time.Millisecond
	// readsLimit is the label of the limit in /metrics.
	readsLimit = "reads"
)

// costly marks a read whose cost grows with the log or with the fleet.
func costly(op huma.Operation) huma.Operation {
	op.Metadata[costlyKey] = true
	return op
}

// readBudget answers the costly reads of each token one after another. The reads of different tokens do not wait for each
// other.
type readBudget struct {
	limited atomic.Int64 // refused or paused reads

	mu sync.Mutex // guards by
	by map[string]*tokenReads
}

// tokenReads are the costly reads of one token.
type tokenReads struct {
	turn  chan struct{} // contains one value while a read is answered
	count int           // reads that are answered or wait, and a pause; guarded by readBudget.mu
}

// enter waits until a read of the caller may start. The caller must call done when it has been answered.
func (b *readBudget) enter(ctx context.Context, c access.Caller) (done func(), err error) {
	key := c.Token
	if key == "" {
		key = "agent " + c.Machine
	}
	reads := b.join(key, maxWaitingReads)
	if reads == nil {
		b.limited.Add(1)
		return nil, errTooManyReads
	}
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	select {
	case reads.turn <- struct{}{}:
	case <-ctx.Done():
		b.leave(key, reads)
		b.limited.Add(1)
		return nil, errTooManyReads
	}
	begun := time.Now()
	return func() { b.pause(key, reads, time.Since(begun)) }, nil
}

// errTooManyReads refuses a read.
var errTooManyReads = problem.New(client.Unavailable, "too many expensive reads of this token are waiting on this server",
	"send one after another, or use a separate token").WithStatus(429)

// join adds a read of a token. It returns nil if more than most others wait.
func (b *readBudget) join(key string, most int) *tokenReads {
	b.mu.Lock()
	defer b.mu.Unlock()
	reads := b.by[key]
	if reads == nil {
		reads = &tokenReads{turn: make(chan struct{}, 1)}
	}
	if reads.count > most {
		return nil
	}
	if b.by == nil {
		b.by = map[string]*tokenReads{}
	}
	reads.count++
	b.by[key] = reads
	return reads
}

func (b *readBudget) leave(key string, reads *tokenReads) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if reads.count--; reads.count == 0 {
		delete(b.by, key)
	}
}

// pause gives the turn to the next read, after a pause if the last one was long.
func (b *readBudget) pause(key string, reads *tokenReads, took time.Duration) {
	end := func() {
		<-reads.turn
		b.leave(key, reads)
	}
	if took <= freeRead {
		end()
		return
	}
	b.limited.Add(1)
	time.AfterFunc(min(readPause*took, maxReadPause), end)
}
