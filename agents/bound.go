package agents

import (
	"context"
	"fmt"
	"sync"

	"github.com/google/uuid"

	"github.com/droverhq/drover/domain"
	"github.com/droverhq/drover/eventlog"
)

const (
	// maxPartBytes bounds the output of a part: the bound of agents themselves, and a piece for their note about the cut.
	maxPartBytes = 16<<20 + eventlog.MaxChunkBytes
	// maxSequence bounds how many pieces that may be. A step that prints little at a time makes ten a second.
	maxSequence = 1 << 20
	// maxCounted bounds the memory; beyond it all are counted again from the log.
	maxCounted = 4096
)

// counts knows how much output of each part is stored, whatever its agent says.
type counts struct {
	mu sync.Mutex // guards by
	by map[countKey]*count
}

type countKey struct {
	deployment domain.ID
	machine    string
}

// count is the output of one part: its bytes, and a bit for each piece in them.
type count struct {
	mu    sync.Mutex // guards what follows
	begun bool
	bytes int
	seen  []uint64
}

func (c *counts) of(key countKey) *count {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.by == nil || len(c.by) >= maxCounted {
		c.by = map[countKey]*count{}
	}
	if c.by[key] == nil {
		c.by[key] = &count{}
	}
	return c.by[key]
}

func (c *counts) forget(key countKey) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.by, key)
}

// fits says whether one more piece of a part's output may be stored. A repeated piece always may: it is stored once.
func (h *Hub) fits(ctx context.Context, key countKey, sequence int64, size int) (bool, error) {
	c := h.counts.of(key)
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.begun { // another server, or this one before it was started anew, may have taken some
		stored := eventlog.OutputKey(uuid.UUID(key.deployment), key.machine)
		for chunk, err := range h.cfg.Log.Items(ctx, eventlog.Output, stored, 0, 0) {
			if err != nil {
				return false, fmt.Errorf("count the output of machine %s: %w", key.machine, err)
			}
			c.add(chunk.Sequence, len(chunk.Data))
		}
		c.begun = true
	}
	return c.add(sequence, size), nil
}

// add counts a piece if it fits, and says whether it does.
func (c *count) add(sequence int64, size int) bool {
	word, bit := int(sequence/64), uint64(1)<<(sequence%64)
	if word < len(c.seen) && c.seen[word]&bit != 0 {
		return true
	}
	if c.bytes+size > maxPartBytes {
		return false
	}
	c.bytes += size
	if more := word + 1 - len(c.seen); more > 0 {
		c.seen = append(c.seen, make([]uint64, more)...)
	}
	c.seen[word] |= bit
	return true
}
