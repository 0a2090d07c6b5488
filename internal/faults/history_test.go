package faults

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"net/url"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"
	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/droverhq/drover/eventlog"
	"github.com/droverhq/drover/eventlog/postgres"
	"github.com/droverhq/drover/eventlog/postgres/postgrestest"
)

// asked is what a client asks of a stream: to append one event, or to be told the events from a revision on.
type asked struct {
	stream   string
	append   bool
	id       uuid.UUID
	expected eventlog.Revision // of an append
	from     eventlog.Revision // of a read
}

// told is what it was answered.
type told struct {
	unknown  bool
	conflict bool
	at       eventlog.Revision // that of the appended event, or where the stream stands
	ids      []uuid.UUID       // of a read
}

// chain is a stream as the model has it: its last event, and the chain before that. nil is an empty stream.
type chain struct {
	before   *chain
	id       uuid.UUID
	revision eventlog.Revision
	sum      uint64
}

func (c *chain) last() eventlog.Revision {
	if c == nil {
		return eventlog.NoStream
	}
	return c.revision
}

func (c *chain) add(id uuid.UUID) *chain {
	next := &chain{before: c, id: id, revision: c.last() + 1}
	for _, b := range id {
		next.sum = next.sum*1099511628211 ^ uint64(b)
	}
	if c != nil {
		next.sum = next.sum*1099511628211 ^ c.sum
	}
	return next
}

// at is the id at a revision, the zero id beyond the end.
func (c *chain) at(r eventlog.Revision) uuid.UUID {
	for ; c != nil && c.revision > r; c = c.before {
	}
	if c == nil || c.revision != r {
		return uuid.Nil
	}
	return c.id
}

// since are the ids from a revision on, in order.
func (c *chain) since(r eventlog.Revision) (ids []uuid.UUID) {
	for ; c != nil && c.revision >= r; c = c.before {
		ids = append(ids, c.id)
	}
	slices.Reverse(ids)
	return ids
}

// appended are the states in which a stream can be after an append was answered so.
func (c *chain) appended(a asked, t told) []any {
	free, repeat := c.last() == a.expected, c.at(a.expected+1) == a.id
	switch {
	case t.unknown && free:
		return []any{c, c.add(a.id)}
	case t.unknown, t.conflict && !free && !repeat && t.at == c.last():
		return []any{c}
	case t.conflict || t.at != a.expected+1:
		return nil
	case free:
		return []any{c.add(a.id)}
	case repeat:
		return []any{c}
	}
	return nil
}

// streams is what a log promises of each of its streams. An append of unknown outcome was done or was not.
var streams = porcupine.NondeterministicModel{
	Partition: func(history []porcupine.Operation) (parts [][]porcupine.Operation) {
		byStream := map[string][]porcupine.Operation{}
		for _, o := range history {
			byStream[o.Input.(asked).stream] = append(byStream[o.Input.(asked).stream], o)
		}
		for _, part := range byStream {
			parts = append(parts, part)
		}
		return parts
	},
	Init: func() []any { return []any{(*chain)(nil)} },
	Step: func(state, input, output any) []any {
		c, a, t := state.(*chain), input.(asked), output.(told)
		if a.append {
			return c.appended(a, t)
		}
		if t.unknown || slices.Equal(c.since(a.from), t.ids) {
			return []any{c}
		}
		return nil
	},
	Equal: func(a, b any) bool {
		one, other := a.(*chain), b.(*chain)
		return one == other || one.last() == other.last() && one != nil && other != nil && one.sum == other.sum
	},
}

// historian is clients that speak to one log and write down what they asked and were told.
type historian struct {
	t     *testing.T
	begun time.Time

	mu  sync.Mutex
	all []porcupine.Operation
}

// never is when an operation of unknown outcome ended, until more is known: it may still take effect.
const never = math.MaxInt64

func (h *historian) note(client int, a asked, called time.Duration, t told) {
	o := porcupine.Operation{ClientId: client, Input: a, Call: int64(called), Output: t, Return: int64(time.Since(h.begun))}
	if t.unknown {
		o.Return = never
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if t.unknown {
		o.ClientId = 1000 + len(h.all) // its client goes on meanwhile
	}
	h.all = append(h.all, o)
}

// work appends and reads until ctx ends. What has an unknown outcome is asked for again.
func (h *historian) work(ctx context.Context, log eventlog.Log, client int, random *rand.Rand) {
	known := map[string]eventlog.Revision{}
	for ctx.Err() == nil {
		stream := fmt.Sprint("history/", random.IntN(4))
		if _, met := known[stream]; !met {
			known[stream] = eventlog.NoStream
		}
		if random.IntN(3) == 0 {
			h.read(log, client, stream, max(0, known[stream]-eventlog.Revision(random.IntN(5))))
			continue
		}
		a := asked{stream: stream, append: true, id: uuid.New(), expected: known[stream]}
		t := h.append(log, client, a)
		for tries := 0; t.unknown && tries < 20 && ctx.Err() == nil; tries++ {
			if t = h.append(log, client, a); !t.unknown {
				h.settled(a.id)
			}
		}
		if !t.unknown {
			known[stream] = t.at
		}
	}
}

// settled notes that an append has a definite answer now: its stream has moved on, so whatever was asked with the same
// id before has taken effect by now or never will.
func (h *historian) settled(id uuid.UUID) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for i := len(h.all) - 1; i >= 0; i-- {
		if o := &h.all[i]; o.Return == never && o.Input.(asked).id == id {
			o.Return = int64(time.Since(h.begun))
		}
	}
}

// askWithin is so short that a restart of the server leaves outcomes unknown.
const askWithin = 300 * time.Millisecond

func (h *historian) append(log eventlog.Log, client int, a asked) told {
	ctx, cancel := context.WithTimeout(context.Background(), askWithin)
	defer cancel()
	called := time.Since(h.begun)
	appended, err := log.Append(ctx, a.stream, a.expected, eventlog.Event{ID: a.id, Type: "test.noted/v1", Time: time.Now().UTC().Truncate(time.Microsecond), Data: json.RawMessage(`{}`)})
	var conflict *eventlog.Conflict
	t := told{at: appended.Revision}
	switch {
	case errors.As(err, &conflict):
		t = told{conflict: true, at: conflict.Actual}
	case errors.Is(err, eventlog.ErrUnknownOutcome):
		t = told{unknown: true}
	case err != nil: // the log says that it was not written; nothing is known of the stream
		time.Sleep(10 * time.Millisecond)
		return told{unknown: true} // to be asked for again
	}
	h.note(client, a, called, t)
	return t
}

func (h *historian) read(log eventlog.Log, client int, stream string, from eventlog.Revision) {
	ctx, cancel := context.WithTimeout(context.Background(), askWithin)
	defer cancel()
	called, t := time.Since(h.begun), told{}
	for recorded, err := range log.ReadStream(ctx, stream, from, 0) {
		if err != nil {
			time.Sleep(10 * time.Millisecond)
			return // it was told nothing
		}
		t.ids = append(t.ids, recorded.ID)
	}
	h.note(client, asked{stream: stream, from: from}, called, t)
}

// TestWhatClientsOfTheLogSeeIsLinearizable lets clients race in four streams while PostgreSQL is restarted and lines are cut.
func TestWhatClientsOfTheLogSeeIsLinearizable(t *testing.T) {
	needsTime(t)
	chosen := seed(t)
	pg := postgrestest.Start(t, postgrestest.Config{})
	h := &historian{t: t, begun: time.Now()}
	span := 10 * time.Second
	if long() {
		span = time.Minute
	}
	var lines []*wire
	var logs []eventlog.Log
	for range 4 {
		w := newWire(t, pg.Address())
		at := url.URL{Scheme: "postgres", User: url.UserPassword(postgrestest.User, postgrestest.Password), Host: w.address(),
			Path: "/" + postgrestest.Database, RawQuery: "sslmode=disable"}
		log, err := postgres.Open(context.Background(), at.String(), postgres.Config{Timeout: time.Second, RetryTimeout: time.Second})
		require.NoError(t, err)
		defer log.Close()
		lines, logs = append(lines, w), append(logs, log)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var clients sync.WaitGroup
	for n := range 8 {
		clients.Go(func() { h.work(ctx, logs[n%4], n, rand.New(rand.NewPCG(chosen, uint64(n)))) })
	}
	restarts, cuts := h.disturb(pg, lines, span, rand.New(rand.NewPCG(chosen, 99)))
	cancel()
	clients.Wait()

	h.judge(restarts, cuts)
}

// disturb restarts the server as a crash does, and loses answers.
func (h *historian) disturb(pg *postgrestest.Server, lines []*wire, span time.Duration, random *rand.Rand) (restarts, cuts int) {
	for time.Since(h.begun) < span {
		time.Sleep(time.Duration(300+random.IntN(500)) * time.Millisecond)
		if random.IntN(2) == 0 {
			restarts++
			require.NoError(h.t, pg.Restart(postgrestest.Immediate))
			continue
		}
		cuts++
		line := lines[random.IntN(len(lines))]
		line.set(weather{deafDown: true})
		time.Sleep(time.Duration(random.IntN(500)) * time.Millisecond)
		line.clear()
	}
	return restarts, cuts
}

func (h *historian) judge(restarts, cuts int) {
	t, model := h.t, streams.ToModel()
	unknown := 0
	for _, o := range h.all {
		if o.Output.(told).unknown {
			unknown++
		}
	}
	begun := time.Now()
	require.Equal(t, porcupine.Ok, porcupine.CheckOperationsTimeout(model, h.all, patience))
	t.Logf("histories: %d operations of 8 clients on 4 streams, %d of unknown outcome; PostgreSQL restarted %d times (immediate), answers lost %d times; linearizable, checked in %s",
		len(h.all), unknown, restarts, cuts, time.Since(begun).Round(time.Millisecond))

	for what, spoil := range map[string]func(asked, told) (told, bool){
		"a read that misses one event": func(_ asked, o told) (told, bool) {
			if len(o.ids) < 2 {
				return o, false
			}
			o.ids = slices.Concat(o.ids[:1], o.ids[2:])
			return o, true
		},
		"a success that was a conflict": func(a asked, o told) (told, bool) {
			if !o.conflict {
				return o, false
			}
			return told{at: a.expected + 1}, true
		},
	} {
		begun := time.Now()
		require.Equal(t, porcupine.Illegal, porcupine.CheckOperationsTimeout(model, spoiled(h.all, spoil), patience), what)
		t.Logf("negative control: %s is found in %s", what, time.Since(begun).Round(time.Millisecond))
	}
}

// spoiled is a history in which one answer, in its middle, is another one.
func spoiled(all []porcupine.Operation, spoil func(asked, told) (told, bool)) []porcupine.Operation {
	all = slices.Clone(all)
	for i := len(all) / 2; i < len(all); i++ {
		if t := all[i].Output.(told); !t.unknown {
			if other, ok := spoil(all[i].Input.(asked), t); ok {
				all[i].Output = other
				return all
			}
		}
	}
	return all
}
