package eventstoredb

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/EventStore/EventStore-Client-Go/v4/esdb"
	"github.com/google/uuid"

	"github.com/droverhq/drover/eventlog"
)

// part identifies the output of one machine in one deployment.
type part struct {
	Deployment uuid.UUID `json:"deployment"`
	Machine    string    `json:"machine"`
}

// partOf parses the key of an output.
func partOf(key string) (part, error) {
	deployment, machine, err := eventlog.ParseOutputKey(key)
	return part{deployment, machine}, err
}

// outputs caches what this process knows about output. Each part has its own stream with its chunks in order of
// arrival. A directory stream lists the parts, so that they can be pruned.
type outputs struct {
	mu sync.Mutex
	// entered holds the parts that this process has listed in the directory.
	entered map[part]bool
	// places contains the place where the next read of a part starts.
	places map[part]place
}

// place means that all chunks of a part before revision next have a sequence of at most after.
type place struct {
	after int64
	next  uint64
}

// manyParts is how many parts are cached. A part that is not cached costs one more line in the directory or a
// longer read.
const manyParts = 4096

// Types of the auxiliary events for output.
const (
	outputChunk   = "output.chunk/v1"
	outputEntered = "output.entered/v1"
)

// itemNote is the metadata of a chunk of output and of an item of a durable collection.
type itemNote struct {
	Sequence int64     `json:"sequence"`
	Time     time.Time `json:"time"`
}

// entry is a line of the directory.
type entry struct {
	part
	// Time is the time of the part's first written chunk.
	Time time.Time `json:"time"`
}

// putChunk stores a chunk. A chunk that is sent twice may occur twice in the stream; readers use the first.
func (l *Log) putChunk(ctx context.Context, chunk eventlog.Item) error {
	p, err := partOf(chunk.Key)
	if err != nil {
		return err
	}
	if err := l.enterPart(ctx, p, chunk.Time); err != nil {
		return err
	}
	note, err := json.Marshal(itemNote{Sequence: chunk.Sequence, Time: chunk.Time})
	if err != nil {
		return err
	}
	id := uuid.NewSHA1(p.Deployment, fmt.Appendf(nil, "%s\x00%d", p.Machine, chunk.Sequence))
	_, err = l.put(ctx, l.names.output(p), esdb.Any{},
		esdb.EventData{EventID: id, EventType: outputChunk, Data: chunk.Data, Metadata: note})
	return err
}

// enterPart lists a part in the directory, once per process.
func (l *Log) enterPart(ctx context.Context, p part, at time.Time) error {
	l.output.mu.Lock()
	entered := l.output.entered[p]
	l.output.mu.Unlock()
	if entered {
		return nil
	}
	line, err := json.Marshal(entry{p, at})
	if err != nil {
		return err
	}
	if _, err := l.put(ctx, l.names.outputDirectory(), esdb.Any{},
		esdb.EventData{EventID: uuid.New(), EventType: outputEntered, Data: line}); err != nil {
		return err
	}
	l.output.mu.Lock()
	defer l.output.mu.Unlock()
	if l.output.entered == nil || len(l.output.entered) >= manyParts {
		l.output.entered = map[part]bool{}
	}
	l.output.entered[p] = true
	return nil
}

func bySequence(chunk eventlog.Item, sequence int64) int {
	return cmp.Compare(chunk.Sequence, sequence)
}

// chunkSet contains chunks of a part, ordered by sequence.
type chunkSet []eventlog.Item

// add inserts a chunk unless its sequence is present.
func (r *chunkSet) add(chunk eventlog.Item) {
	at, current := slices.BinarySearchFunc(*r, chunk.Sequence, bySequence)
	if !current {
		*r = slices.Insert(*r, at, chunk)
	}
}

// closed reports whether the first n chunks after a sequence are present without a gap.
func (r chunkSet) closed(after int64, n int) bool {
	return n > 0 && len(r) >= n && r[n-1].Sequence == after+int64(n)
}

// chunks reads the chunks of a part above a sequence. Chunks may be out of order, so it reads the stream to its end
// unless the first limit chunks have no gap.
func (l *Log) chunks(ctx context.Context, key string, after int64, limit int) (chunkSet, error) {
	p, err := partOf(key)
	if err != nil {
		return nil, err
	}
	start := l.output.place(p, after)
	found, next := chunkSet{}, start.next
	var damaged error
	err = l.walk(ctx, l.names.output(p), start.next, func(event *esdb.RecordedEvent) bool {
		var chunk eventlog.Item
		if chunk, damaged = decodeChunk(event); damaged != nil {
			return true
		}
		if chunk.Key = key; chunk.Sequence > after {
			found.add(chunk)
		}
		next = event.EventNumber + 1
		return found.closed(after, limit)
	})
	if err == nil {
		err = damaged
	}
	if err != nil {
		return nil, err
	}
	if limit > 0 && len(found) > limit {
		return found[:limit], nil
	}
	if len(found) > 0 {
		l.output.reached(p, place{after: found[len(found)-1].Sequence, next: next})
	}
	return found, nil
}

// place returns where a read of a part above a sequence starts.
func (o *outputs) place(p part, after int64) place {
	o.mu.Lock()
	defer o.mu.Unlock()
	if known := o.places[p]; known.after <= after {
		return known
	}
	return place{}
}

func (o *outputs) reached(p part, at place) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.places == nil || len(o.places) >= manyParts {
		o.places = map[part]place{}
	}
	o.places[p] = at
}

func decodeChunk(event *esdb.RecordedEvent) (eventlog.Item, error) {
	var note itemNote
	if err := json.Unmarshal(event.UserMetadata, &note); err != nil {
		return eventlog.Item{}, fmt.Errorf("%w: chunk at revision %d of %s: %w", eventlog.ErrDamaged, event.EventNumber,
			event.StreamID, err)
	}
	return eventlog.Item{Sequence: note.Sequence, Time: note.Time, Data: event.Data}, nil
}

// prune deletes chunks older than before, starting with the oldest of each part, and returns their number. Chunks can
// be out of order because the clocks of servers differ: an old chunk after a newer one stays until that one is deleted.
// prune walks the directory and truncates the leading entries whose output was deleted.
func (l *Log) prune(ctx context.Context, before time.Time) (int, error) {
	var entries []entry
	var revisions []uint64
	err := l.walk(ctx, l.names.outputDirectory(), 0, func(event *esdb.RecordedEvent) bool {
		var line entry
		if json.Unmarshal(event.Data, &line) == nil {
			entries, revisions = append(entries, line), append(revisions, event.EventNumber)
		}
		return false
	})
	pruned, gone := 0, 0
	done := map[part]bool{}
	for i := range entries {
		if err != nil {
			return pruned, err
		}
		if !entries[i].Time.Before(before) {
			continue
		}
		var n int
		n, done[entries[i].part], err = l.prunePart(ctx, entries[i].part, before)
		pruned += n
		if done[entries[i].part] && gone == i {
			gone++
		}
	}
	if err == nil && gone > 0 {
		err = l.cut(ctx, l.names.outputDirectory(), revisions[gone-1]+1)
	}
	l.output.mu.Lock()
	defer l.output.mu.Unlock()
	l.output.entered = nil // so that a later chunk lists the truncated part again
	return pruned, err
}

// prunePart hides the old chunks of one part. It returns their number and whether the part is empty now.
func (l *Log) prunePart(ctx context.Context, p part, before time.Time) (n int, empty bool, err error) {
	stream := l.names.output(p)
	next, left := uint64(0), false
	seen := map[int64]bool{}
	err = l.walk(ctx, stream, 0, func(event *esdb.RecordedEvent) bool {
		chunk, damaged := decodeChunk(event)
		if damaged == nil && !chunk.Time.Before(before) {
			left = true
			return true
		}
		next = event.EventNumber + 1
		seen[chunk.Sequence] = true
		return false
	})
	if err == nil && next > 0 {
		err = l.cut(ctx, stream, next)
	}
	return len(seen), !left, err
}

// cut hides the events of a stream before a revision. The server removes them from disk during a scavenge.
func (l *Log) cut(ctx context.Context, stream string, before uint64) error {
	var limits esdb.StreamMetadata
	limits.SetTruncateBefore(before)
	return l.setMetadata(ctx, stream, limits)
}
