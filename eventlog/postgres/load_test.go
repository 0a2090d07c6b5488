package postgres_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/droverhq/drover/eventlog"
)

// sample is an event of about 200 bytes of data.
func sample(n uint64) eventlog.Event {
	id := uuid.UUID{6: 0x40, 8: 0x80}
	for i := range 6 {
		id[15-i] = byte(n >> (8 * i))
	}
	return eventlog.Event{
		ID: id, Type: "machine.came-online/v1", Time: time.Unix(1_800_000_000, 0).UTC(), Command: id,
		Data: json.RawMessage(fmt.Sprintf(`{"instance":"%s","n":%d,"note":"%s"}`, id, n, strings.Repeat("x", 130))),
	}
}

// load is writers at work, and what they were told.
type load struct {
	logs     []eventlog.Backend
	patience time.Duration // of one append
	stop     chan struct{}
	working  sync.WaitGroup

	acked, unknown, refused, repeats atomic.Int64

	mu        sync.Mutex
	places    map[string]uuid.UUID // "stream revision" of acknowledged events
	cursors   map[string]int64     // the highest sequence that was acknowledged, by key
	swapped   map[string]bool      // "key sequence" of acknowledged swaps
	withdrawn []uuid.UUID          // of appends that were said not to be in the log
	problems  []error
}

// begin starts writers, each of which appends in turn to a stream of its own and to one
// that all share, and moves a cursor of the same name now and then.
func begin(writers int, patience time.Duration, logs ...eventlog.Backend) *load {
	l := &load{logs: logs, patience: patience, stop: make(chan struct{}), places: map[string]uuid.UUID{}, cursors: map[string]int64{}, swapped: map[string]bool{}}
	for w := range writers {
		l.working.Go(func() { l.write(w, logs[w%len(logs)]) })
	}
	return l
}

func (l *load) write(w int, log eventlog.Backend) {
	last := map[string]eventlog.Revision{}
	streams := []string{fmt.Sprint("own/", w), "shared"}
	for _, stream := range streams {
		last[stream] = eventlog.NoStream
	}
	for turn := 0; ; turn++ {
		select {
		case <-l.stop:
			return
		default:
		}
		stream := streams[turn%2]
		var err error
		if last[stream], err = l.append(log, stream, last[stream], turn%3+1); err == nil && turn%8 < 2 {
			err = l.swap(log, stream)
		}
		if err != nil {
			l.mu.Lock()
			l.problems = append(l.problems, err)
			l.mu.Unlock()
			return
		}
	}
}

// append appends n new events as a careful caller does: the same ids again after an
// unknown outcome, further on after a conflict, other ids after a refusal.
func (l *load) append(log eventlog.Backend, stream string, expected eventlog.Revision, n int) (eventlog.Revision, error) {
	events := renamed(n)
	for doubt := false; ; {
		ctx, cancel := context.WithTimeout(context.Background(), l.patience)
		appended, err := log.Append(ctx, stream, expected, events...)
		cancel()
		var conflict *eventlog.Conflict
		switch {
		case err == nil:
			return appended.Revision, l.acknowledge(stream, expected, events, appended)
		case errors.As(err, &conflict):
			if conflict.Actual == expected {
				return 0, fmt.Errorf("a conflict that is none: %w", err)
			}
			expected, doubt = conflict.Actual, false
		case errors.Is(err, eventlog.ErrUnknownOutcome):
			l.unknown.Add(1)
			doubt = true
		case errors.Is(err, eventlog.ErrUnavailable), errors.Is(err, context.DeadlineExceeded):
			l.refused.Add(1)
			time.Sleep(5 * time.Millisecond) // not to spin while the database is away
			if doubt {                       // the refusal says nothing of the append before
				continue
			}
			l.mu.Lock()
			for _, event := range events {
				l.withdrawn = append(l.withdrawn, event.ID)
			}
			l.mu.Unlock()
			events = renamed(n)
		default:
			return 0, err
		}
	}
}

// swap moves a cursor on as a careful caller does: the same Swap again after an unknown outcome or a refusal, further on
// where another was first.
func (l *load) swap(log eventlog.Backend, key string) error {
	l.mu.Lock()
	was := l.cursors[key]
	l.mu.Unlock()
	mine := []byte(uuid.NewString())
	for {
		ctx, cancel := context.WithTimeout(context.Background(), l.patience)
		err := log.Swap(ctx, eventlog.Cursors, eventlog.Item{Key: key, Sequence: was + 1, Data: mine}, was)
		cancel()
		var moved *eventlog.SwapConflict
		switch {
		case err == nil:
			return l.acknowledgeSwap(key, was+1)
		case errors.As(err, &moved):
			if moved.Sequence <= was {
				return fmt.Errorf("the cursor has moved back: %w", err)
			}
			was = moved.Sequence
		case errors.Is(err, eventlog.ErrUnknownOutcome):
			l.unknown.Add(1)
		case errors.Is(err, eventlog.ErrUnavailable), errors.Is(err, context.DeadlineExceeded):
			l.refused.Add(1)
			time.Sleep(5 * time.Millisecond) // not to spin while the database is away
		default:
			return err
		}
	}
}

func (l *load) acknowledgeSwap(key string, sequence int64) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	place := fmt.Sprint(key, " ", sequence)
	if l.swapped[place] {
		return fmt.Errorf("two writers were told that they moved cursor %s to %d", key, sequence)
	}
	l.swapped[place] = true
	l.cursors[key] = max(l.cursors[key], sequence)
	return nil
}

func renamed(n int) []eventlog.Event {
	events := make([]eventlog.Event, n)
	for i := range events {
		events[i] = sample(0)
		events[i].ID = uuid.New()
	}
	return events
}

func (l *load) acknowledge(stream string, expected eventlog.Revision, events []eventlog.Event, appended eventlog.Appended) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	for i, event := range events {
		place := fmt.Sprint(stream, " ", int(expected)+1+i)
		if other, taken := l.places[place]; taken {
			return fmt.Errorf("two acknowledged events have the place %s: %s and %s", place, other, event.ID)
		}
		l.places[place] = event.ID
	}
	l.acked.Add(int64(len(events)))
	if appended.Repeat {
		l.repeats.Add(1)
	}
	return nil
}

// reach waits until n more events are acknowledged.
func (l *load) reach(t *testing.T, n int64) {
	n += l.acked.Load()
	require.Eventually(t, func() bool { return l.acked.Load() >= n }, time.Minute, time.Millisecond)
}

// end stops the writers and compares what they were told with what log holds: every
// acknowledged event once and at its place, no withdrawn one, and nothing else, and no cursor
// before where it was said to be.
func (l *load) end(t *testing.T, log eventlog.Backend) {
	close(l.stop)
	l.working.Wait()
	require.Empty(t, l.problems)
	verified, err := eventlog.Verify(context.Background(), log, nil)
	require.NoError(t, err)
	ids := map[uuid.UUID]bool{}
	for event, err := range log.ReadAll(context.Background(), 0, 0) {
		require.NoError(t, err)
		require.False(t, ids[event.ID], "event %s is in the log twice", event.ID)
		ids[event.ID] = true
		place := fmt.Sprint(event.Stream, " ", event.Revision)
		require.Equal(t, event.ID, l.places[place], "%s holds an event that was not acknowledged there", place)
	}
	for _, id := range l.withdrawn {
		require.False(t, ids[id], "event %s is in the log although its append was refused", id)
	}
	require.Len(t, l.places, verified.Events, "acknowledged events are lost")
	cursors, err := log.Newest(context.Background(), eventlog.Cursors)
	require.NoError(t, err)
	for key, sequence := range l.cursors {
		require.GreaterOrEqual(t, cursors[key].Sequence, sequence, "cursor %s is lost", key)
	}
}

// noise is text that does not compress.
func noise(n int) string {
	var text strings.Builder
	for text.Len() < n {
		text.WriteString(uuid.NewString())
	}
	return text.String()
}
