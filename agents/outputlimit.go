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
	// maxPartBytes bounds the output of a part: the limit of agents plus one chunk for their note about the cut.
	maxPartBytes = 16<<20 + eventlog.MaxChunkBytes
	// maxSequence bounds the number of chunks. A step that prints little at a time makes ten per second.
	maxSequence = 1 << 20
	// maxCachedCounts bounds the memory; when it is exceeded, all counts are dropped and read from the log again.
	maxCachedCounts = 4096
)

// outputCounts counts the stored output of each part.
type outputCounts struct {
	mu sync.Mutex // guards by
	by map[partKey]*outputCount
}

type partKey struct {
	deployment domain.ID
	machine    string
}

// outputCount is the stored output of one part: its size, and one bit for each chunk.
type outputCount struct {
	mu     sync.Mutex // guards the fields below
	loaded bool
	bytes  int
	seen   []uint64
}

func (c *outputCounts) get(key partKey) *outputCount {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.by == nil || len(c.by) >= maxCachedCounts {
		c.by = map[partKey]*outputCount{}
	}
	if c.by[key] == nil {
		c.by[key] = &outputCount{}
	}
	return c.by[key]
}

func (c *outputCounts) remove(key partKey) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.by, key)
}

// reserveOutput reports whether one more chunk of a part's output can be stored, and counts it. It always accepts a
// repeated chunk, which is stored only once.
func (h *Hub) reserveOutput(ctx context.Context, key partKey, sequence int64, size int) (bool, error) {
	c := h.outputCounts.get(key)
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.loaded { // another server, or this one before a restart, may have stored output
		stored := eventlog.OutputKey(uuid.UUID(key.deployment), key.machine)
		for chunk, err := range h.cfg.Log.Items(ctx, eventlog.Output, stored, 0, 0) {
			if err != nil {
				return false, fmt.Errorf("count the output of machine %s: %w", key.machine, err)
			}
			c.add(chunk.Sequence, len(chunk.Data))
		}
		c.loaded = true
	}
	return c.add(sequence, size), nil
}

// add counts a chunk if it fits, and reports whether it fits.
func (c *outputCount) add(sequence int64, size int) bool {
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
