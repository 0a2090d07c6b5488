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

// sample returns an event with about 200 bytes of data.
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

// load runs writers and records their results.
type load struct {
	logs    []eventlog.Backend
	timeout time.Duration // of one call
	stop    chan struct{}
	working sync.WaitGroup

	acked, unknown, refused, repeats atomic.Int64

	mu        sync.Mutex
	places    map[string]uuid.UUID // "stream revision" of acknowledged events
	cursors   map[string]int64     // highest acknowledged sequence, by key
	swapped   map[string]bool      // "key sequence" of acknowledged swaps
	withdrawn []uuid.UUID          // ids of refused appends
	problems  []error
}

// startLoad starts writers. Each appends alternately to its own stream and to a shared one. Sometimes it also
// advances a cursor with the name of the stream.
func startLoad(writers int, timeout time.Duration, logs ...eventlog.Backend) *load {
	l := &load{logs: logs, timeout: timeout, stop: make(chan struct{}), places: map[string]uuid.UUID{},
		cursors: map[string]int64{}, swapped: map[string]bool{}}
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

// append appends n new events as a correct writer does: the same ids again after an unknown outcome, the actual
// revision after a conflict, and new ids after a refusal.
func (l *load) append(log eventlog.Backend, stream string, expected eventlog.Revision, n int) (eventlog.Revision,
	error) {
	events := newEvents(n)
	for uncertain := false; ; {
		ctx, cancel := context.WithTimeout(context.Background(), l.timeout)
		appended, err := log.Append(ctx, stream, expected, events...)
		cancel()
		var conflict *eventlog.Conflict
		switch {
		case err == nil:
			return appended.Revision, l.acknowledge(stream, expected, events, appended)
		case errors.As(err, &conflict):
			if conflict.Actual == expected {
				return 0, fmt.Errorf("a conflict at the expected revision: %w", err)
			}
			expected, uncertain = conflict.Actual, false
		case errors.Is(err, eventlog.ErrUnknownOutcome):
			l.unknown.Add(1)
			uncertain = true
		case errors.Is(err, eventlog.ErrUnavailable), errors.Is(err, context.DeadlineExceeded):
			l.refused.Add(1)
			time.Sleep(5 * time.Millisecond) // avoid a busy loop during an outage
			if uncertain {                   // the refusal does not apply to the earlier attempt
				continue
			}
			l.mu.Lock()
			for _, event := range events {
				l.withdrawn = append(l.withdrawn, event.ID)
			}
			l.mu.Unlock()
			events = newEvents(n)
		default:
			return 0, err
		}
	}
}

// swap advances a cursor as a correct writer does: the same Swap again after an unknown outcome or a refusal, and a
// new Swap after a conflict.
func (l *load) swap(log eventlog.Backend, key string) error {
	l.mu.Lock()
	expected := l.cursors[key]
	l.mu.Unlock()
	mine := []byte(uuid.NewString())
	for {
		ctx, cancel := context.WithTimeout(context.Background(), l.timeout)
		err := log.Swap(ctx, eventlog.Cursors, eventlog.Item{Key: key, Sequence: expected + 1, Data: mine}, expected)
		cancel()
		var conflict *eventlog.SwapConflict
		switch {
		case err == nil:
			return l.acknowledgeSwap(key, expected+1)
		case errors.As(err, &conflict):
			if conflict.Sequence <= expected {
				return fmt.Errorf("the cursor went back: %w", err)
			}
			expected = conflict.Sequence
		case errors.Is(err, eventlog.ErrUnknownOutcome):
			l.unknown.Add(1)
		case errors.Is(err, eventlog.ErrUnavailable), errors.Is(err, context.DeadlineExceeded):
			l.refused.Add(1)
			time.Sleep(5 * time.Millisecond) // avoid a busy loop during an outage
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
		return fmt.Errorf("two writers advanced cursor %s to %d", key, sequence)
	}
	l.swapped[place] = true
	l.cursors[key] = max(l.cursors[key], sequence)
	return nil
}

func newEvents(n int) []eventlog.Event {
	events := make([]eventlog.Event, n)
	for i := range events {
		events[i] = sample(0)
		events[i].ID = uuid.New()
	}
	return events
}

func (l *load) acknowledge(stream string, expected eventlog.Revision, events []eventlog.Event,
	appended eventlog.Appended) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	for i, event := range events {
		place := fmt.Sprint(stream, " ", int(expected)+1+i)
		if other, taken := l.places[place]; taken {
			return fmt.Errorf("two acknowledged events are at %s: %s and %s", place, other, event.ID)
		}
		l.places[place] = event.ID
	}
	l.acked.Add(int64(len(events)))
	if appended.Repeat {
		l.repeats.Add(1)
	}
	return nil
}

// wait waits until n more events are acknowledged.
func (l *load) wait(t *testing.T, n int64) {
	n += l.acked.Load()
	require.Eventually(t, func() bool { return l.acked.Load() >= n }, time.Minute, time.Millisecond)
}

// finish stops the writers and compares their results with the log. The log must have every acknowledged event
// exactly once at its place, and no other event. No cursor may be behind its acknowledged value.
func (l *load) finish(t *testing.T, log eventlog.Backend) {
	close(l.stop)
	l.working.Wait()
	require.Empty(t, l.problems)
	verified, err := eventlog.Verify(context.Background(), log, nil)
	require.NoError(t, err)
	ids := map[uuid.UUID]bool{}
	for event, err := range log.ReadAll(context.Background(), 0, 0) {
		require.NoError(t, err)
		require.False(t, ids[event.ID], "event %s was stored twice", event.ID)
		ids[event.ID] = true
		place := fmt.Sprint(event.Stream, " ", event.Revision)
		require.Equal(t, event.ID, l.places[place], "the event at %s was not acknowledged there", place)
	}
	for _, id := range l.withdrawn {
		require.False(t, ids[id], "event %s was stored although its append was refused", id)
	}
	require.Len(t, l.places, verified.Events, "acknowledged events were lost")
	cursors, err := log.Newest(context.Background(), eventlog.Cursors)
	require.NoError(t, err)
	for key, sequence := range l.cursors {
		require.GreaterOrEqual(t, cursors[key].Sequence, sequence, "cursor %s was lost", key)
	}
}

// noise returns a text of at least n bytes that does not compress.
func noise(n int) string {
	var text strings.Builder
	for text.Len() < n {
		text.WriteString(uuid.NewString())
	}
	return text.String()
}
