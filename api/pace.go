package api

import (
	"context"
	"math"
	"time"

	"github.com/droverhq/drover/access"
)

// pace slows a stream or an archive, so that it uses a third of the time at most. A long one is not cut off, and the
// costly reads of its token do not wait for it. The pauses of all streams of one token follow each other, so that many
// streams are as fast together as one.
type pace struct {
	budget *readBudget
	key    string
	reads  *tokenReads
	// spent is the time since the last pause that was spent on the stream.
	spent time.Duration
}

// startStream returns the pace of a new stream. The caller must call stop at its end.
func (b *readBudget) startStream(c access.Caller) *pace {
	key := "stream " + c.Token
	return &pace{budget: b, key: key, reads: b.join(key, math.MaxInt)}
}

func (p *pace) stop() { p.budget.leave(p.key, p.reads) }

// spend counts time that the stream used, and pauses when enough has accumulated. It returns early when ctx ends.
func (p *pace) spend(ctx context.Context, took time.Duration) {
	if p.spent += took; p.spent <= freeRead {
		return
	}
	p.budget.limited.Add(1)
	pause := min(readPause*p.spent, maxReadPause)
	p.spent = 0
	select {
	case p.reads.turn <- struct{}{}:
	case <-ctx.Done():
		return
	}
	defer func() { <-p.reads.turn }()
	select {
	case <-time.After(pause):
	case <-ctx.Done():
	}
}
