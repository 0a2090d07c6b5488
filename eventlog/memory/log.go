package memory

import (
	"context"
	"fmt"
	"iter"
	"sync"

	"github.com/google/uuid"

	"github.com/droverhq/drover/eventlog"
)

// Config configures a log in memory. The zero value works.
type Config struct {
	// ID is the id of the log. The zero id selects a fixed id, so that everything derived from it is the same in
	// every run.
	ID uuid.UUID
}

// fixedID is the id of a log without a configured id.
var fixedID = uuid.MustParse("6d656d6f-7279-4c6f-a700-000000000001")

// Log is an eventlog.Backend in memory.
type Log struct {
	id uuid.UUID

	mu      sync.RWMutex
	closed  bool
	events  []eventlog.Recorded // the event at position p is events[p-1]
	streams map[string][]int    // indices into events, by revision
	store   map[eventlog.Collection]items
}

var _ eventlog.Backend = (*Log)(nil)

// New returns an empty log with the fixed id.
func New() *Log { return Open(Config{}) }

// Open returns an empty log with the given configuration.
func Open(config Config) *Log {
	id := config.ID
	if id == uuid.Nil {
		id = fixedID
	}
	return &Log{id: id, streams: map[string][]int{}, store: map[eventlog.Collection]items{}}
}

// ready returns an error if ctx has ended or the log is closed. The caller holds the lock.
func (l *Log) ready(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if l.closed {
		return eventlog.ErrClosed
	}
	return nil
}

// Append implements eventlog.Log.
func (l *Log) Append(ctx context.Context, stream string, expected eventlog.Revision,
	events ...eventlog.Event) (eventlog.Appended, error) {
	prepared, err := eventlog.CheckAppend(stream, expected, events)
	if err != nil {
		return eventlog.Appended{}, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := l.ready(ctx); err != nil {
		return eventlog.Appended{}, fmt.Errorf("append to %s: %w", stream, err)
	}
	at := l.streams[stream]
	actual := eventlog.Revision(len(at)) - 1
	repeat, err := eventlog.IsRepeat(stream, expected, actual, prepared, l.idsAfter(at, expected, len(prepared)))
	if err != nil {
		return eventlog.Appended{}, fmt.Errorf("append to %s: %w", stream, err)
	}
	last := expected + eventlog.Revision(len(prepared))
	if !repeat {
		l.insert(stream, expected, prepared)
	}
	return eventlog.Appended{
		Revision: last,
		Position: l.events[l.streams[stream][last]].Position,
		Repeat:   repeat,
	}, nil
}

// idsAfter returns at most n ids of a stream, from revision expected+1. at holds the indices of its events.
func (l *Log) idsAfter(at []int, expected eventlog.Revision, n int) []uuid.UUID {
	from := int(expected) + 1
	if from >= len(at) {
		return nil
	}
	to := min(from+n, len(at))
	ids := make([]uuid.UUID, 0, to-from)
	for _, index := range at[from:to] {
		ids = append(ids, l.events[index].ID)
	}
	return ids
}

func (l *Log) insert(stream string, expected eventlog.Revision, events []eventlog.Event) {
	for i, event := range events {
		l.streams[stream] = append(l.streams[stream], len(l.events))
		l.events = append(l.events, eventlog.Recorded{
			Event:    event,
			Stream:   stream,
			Revision: expected + 1 + eventlog.Revision(i),
			Position: eventlog.Position(len(l.events) + 1),
		})
	}
}

// ReadStream implements eventlog.Log.
func (l *Log) ReadStream(ctx context.Context, stream string, from eventlog.Revision,
	limit int) iter.Seq2[eventlog.Recorded, error] {
	return func(yield func(eventlog.Recorded, error) bool) {
		events, at, err := l.snapshot(ctx, stream, limit)
		if err != nil {
			yield(eventlog.Recorded{}, fmt.Errorf("read stream %s: %w", stream, err))
			return
		}
		first := min(max(int(from), 0), len(at))
		for _, index := range at[first:end(first, limit, len(at))] {
			if err := ctx.Err(); err != nil {
				yield(eventlog.Recorded{}, fmt.Errorf("read stream %s: %w", stream, err))
				return
			}
			if !yield(events[index], nil) {
				return
			}
		}
	}
}

// ReadAll implements eventlog.Log.
func (l *Log) ReadAll(ctx context.Context, after eventlog.Position, limit int) iter.Seq2[eventlog.Recorded, error] {
	return func(yield func(eventlog.Recorded, error) bool) {
		events, _, err := l.snapshot(ctx, "", limit)
		if err != nil {
			yield(eventlog.Recorded{}, fmt.Errorf("read after position %s: %w", after, err))
			return
		}
		first := int(min(after, eventlog.Position(len(events))))
		for _, event := range events[first:end(first, limit, len(events))] {
			if err := ctx.Err(); err != nil {
				yield(eventlog.Recorded{}, fmt.Errorf("read after position %s: %w", after, err))
				return
			}
			if !yield(event, nil) {
				return
			}
		}
	}
}

// snapshot returns the current events of the log and the indices of one stream. Later appends do not change the
// returned part of either slice, so both can be read without a lock.
func (l *Log) snapshot(ctx context.Context, stream string, limit int) ([]eventlog.Recorded, []int, error) {
	if err := eventlog.CheckLimit(limit); err != nil {
		return nil, nil, err
	}
	l.mu.RLock()
	defer l.mu.RUnlock()
	if err := l.ready(ctx); err != nil {
		return nil, nil, err
	}
	return l.events, l.streams[stream], nil
}

// end returns the end index of a read that starts at index first.
func end(first, limit, length int) int {
	if limit == 0 || limit > length-first {
		return length
	}
	return first + limit
}

// Head returns the position of the last event.
func (l *Log) Head(ctx context.Context) (eventlog.Position, error) {
	l.mu.RLock()
	defer l.mu.RUnlock()
	if err := l.ready(ctx); err != nil {
		return 0, fmt.Errorf("read head: %w", err)
	}
	return eventlog.Position(len(l.events)), nil
}

// ID returns the id of the log.
func (l *Log) ID(ctx context.Context) (uuid.UUID, error) {
	l.mu.RLock()
	defer l.mu.RUnlock()
	if err := l.ready(ctx); err != nil {
		return uuid.Nil, fmt.Errorf("read id: %w", err)
	}
	return l.id, nil
}

// Close releases the memory of the log. Every later call returns ErrClosed.
func (l *Log) Close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.closed = true
	l.events, l.streams, l.store = nil, nil, nil
	return nil
}
