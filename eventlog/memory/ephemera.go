package memory

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"iter"
	"maps"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/droverhq/drover/eventlog"
)

// part names the output of one machine in one deployment.
type part struct {
	deployment uuid.UUID
	machine    string
}

// ephemera is what lives beside the events, guarded by the log's lock.
type ephemera struct {
	leases map[uuid.UUID][]byte
	output map[part][]eventlog.Chunk // by sequence; a slice is replaced, never changed
}

func newEphemera() ephemera {
	return ephemera{leases: map[uuid.UUID][]byte{}, output: map[part][]eventlog.Chunk{}}
}

// PutLease replaces the lease of server with value.
func (l *Log) PutLease(ctx context.Context, server uuid.UUID, value []byte) error {
	if err := eventlog.CheckLease(server, value); err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := l.ready(ctx); err != nil {
		return fmt.Errorf("put lease of server %s: %w", server, err)
	}
	l.leases[server] = bytes.Clone(value)
	return nil
}

// Leases returns the last value of each server.
func (l *Log) Leases(ctx context.Context) (map[uuid.UUID][]byte, error) {
	l.mu.RLock()
	defer l.mu.RUnlock()
	if err := l.ready(ctx); err != nil {
		return nil, fmt.Errorf("read leases: %w", err)
	}
	leases := maps.Clone(l.leases)
	for server, value := range leases {
		leases[server] = bytes.Clone(value)
	}
	return leases, nil
}

// DropLease forgets the lease of server.
func (l *Log) DropLease(ctx context.Context, server uuid.UUID) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := l.ready(ctx); err != nil {
		return fmt.Errorf("drop lease of server %s: %w", server, err)
	}
	delete(l.leases, server)
	return nil
}

func bySequence(chunk eventlog.Chunk, sequence int64) int {
	return cmp.Compare(chunk.Sequence, sequence)
}

// AppendOutput keeps chunk unless its sequence is there already.
func (l *Log) AppendOutput(ctx context.Context, deployment uuid.UUID, machine string, chunk eventlog.Chunk) error {
	checked, err := eventlog.CheckChunk(machine, chunk)
	if err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := l.ready(ctx); err != nil {
		return fmt.Errorf("append output of %s: %w", machine, err)
	}
	key := part{deployment, machine}
	chunks := l.output[key]
	at, there := slices.BinarySearchFunc(chunks, checked.Sequence, bySequence)
	switch {
	case there:
	case at == len(chunks):
		// Behind the end of what readers hold, so their slices stay as they are.
		l.output[key] = append(chunks, checked)
	default:
		l.output[key] = slices.Insert(slices.Clone(chunks), at, checked)
	}
	return nil
}

// ReadOutput yields the chunks of one machine above sequence after.
func (l *Log) ReadOutput(ctx context.Context, deployment uuid.UUID, machine string, after int64, limit int) iter.Seq2[eventlog.Chunk, error] {
	return func(yield func(eventlog.Chunk, error) bool) {
		chunks, err := l.chunks(ctx, part{deployment, machine}, limit)
		if err != nil {
			yield(eventlog.Chunk{}, fmt.Errorf("read output of %s: %w", machine, err))
			return
		}
		first, there := slices.BinarySearchFunc(chunks, after, bySequence)
		if there {
			first++
		}
		for _, chunk := range chunks[first:end(first, limit, len(chunks))] {
			if err := ctx.Err(); err != nil {
				yield(eventlog.Chunk{}, fmt.Errorf("read output of %s: %w", machine, err))
				return
			}
			if !yield(chunk, nil) {
				return
			}
		}
	}
}

func (l *Log) chunks(ctx context.Context, key part, limit int) ([]eventlog.Chunk, error) {
	if err := eventlog.CheckLimit(limit); err != nil {
		return nil, err
	}
	l.mu.RLock()
	defer l.mu.RUnlock()
	if err := l.ready(ctx); err != nil {
		return nil, err
	}
	return l.output[key], nil
}

// PruneOutput deletes every chunk older than before.
func (l *Log) PruneOutput(ctx context.Context, before time.Time) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := l.ready(ctx); err != nil {
		return 0, fmt.Errorf("prune output: %w", err)
	}
	pruned := 0
	for key, chunks := range l.output {
		kept := make([]eventlog.Chunk, 0, len(chunks))
		for _, chunk := range chunks {
			if !chunk.Time.Before(before) {
				kept = append(kept, chunk)
			}
		}
		pruned += len(chunks) - len(kept)
		l.output[key] = kept
		if len(kept) == 0 {
			delete(l.output, key)
		}
	}
	return pruned, nil
}
