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

// request is an operation of a client on a stream: append one event, or read the events starting at a revision.
type request struct {
	stream   string
	append   bool
	id       uuid.UUID
	expected eventlog.Revision // of an append
	from     eventlog.Revision // of a read
}

// response is the answer to a request.
type response struct {
	unknown  bool
	conflict bool
	at       eventlog.Revision // revision of the appended event, or the actual revision after a conflict
	ids      []uuid.UUID       // of a read
}

// chain is the model of a stream: its last event and the chain before it. nil is an empty stream.
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

// at returns the id at a revision, or the zero id if the revision is after the end.
func (c *chain) at(r eventlog.Revision) uuid.UUID {
	for ; c != nil && c.revision > r; c = c.before {
	}
	if c == nil || c.revision != r {
		return uuid.Nil
	}
	return c.id
}

// since returns the ids starting at a revision, in order.
func (c *chain) since(r eventlog.Revision) (ids []uuid.UUID) {
	for ; c != nil && c.revision >= r; c = c.before {
		ids = append(ids, c.id)
	}
	slices.Reverse(ids)
	return ids
}

// appended returns the possible states of a stream after an append with this response.
func (c *chain) appended(a request, t response) []any {
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

// streams is the model of a log's streams. An append whose outcome is unknown may or may not have been executed.
var streams = porcupine.NondeterministicModel{
	Partition: func(history []porcupine.Operation) (parts [][]porcupine.Operation) {
		byStream := map[string][]porcupine.Operation{}
		for _, o := range history {
			byStream[o.Input.(request).stream] = append(byStream[o.Input.(request).stream], o)
		}
		for _, part := range byStream {
			parts = append(parts, part)
		}
		return parts
	},
	Init: func() []any { return []any{(*chain)(nil)} },
	Step: func(state, input, output any) []any {
		c, a, t := state.(*chain), input.(request), output.(response)
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

// recorder records the requests and responses of clients of one log.
type recorder struct {
	t     *testing.T
	begun time.Time

	mu  sync.Mutex
	all []porcupine.Operation
}

// never is the return time of an operation whose outcome is unknown: it may still take effect.
const never = math.MaxInt64

func (h *recorder) record(client int, a request, called time.Duration, t response) {
	o := porcupine.Operation{ClientId: client, Input: a, Call: int64(called), Output: t,
		Return: int64(time.Since(h.begun))}
	if t.unknown {
		o.Return = never
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if t.unknown {
		o.ClientId = 1000 + len(h.all) // its client continues in the meantime
	}
	h.all = append(h.all, o)
}

// work appends and reads until ctx is done. It repeats appends whose outcome is unknown.
func (h *recorder) work(ctx context.Context, log eventlog.Log, client int, random *rand.Rand) {
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
		a := request{stream: stream, append: true, id: uuid.New(), expected: known[stream]}
		t := h.append(log, client, a)
		for tries := 0; t.unknown && tries < 20 && ctx.Err() == nil; tries++ {
			if t = h.append(log, client, a); !t.unknown {
				h.resolve(a.id)
			}
		}
		if !t.unknown {
			known[stream] = t.at
		}
	}
}

// resolve records that the outcome of an append is now known. Its stream has advanced, so earlier requests with the
// same id have already taken effect or never will.
func (h *recorder) resolve(id uuid.UUID) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for i := len(h.all) - 1; i >= 0; i-- {
		if o := &h.all[i]; o.Return == never && o.Input.(request).id == id {
			o.Return = int64(time.Since(h.begun))
		}
	}
}

// requestTimeout is so short that a restart of the server leaves outcomes unknown.
const requestTimeout = 300 * time.Millisecond

func (h *recorder) append(log eventlog.Log, client int, a request) response {
	ctx, cancel := context.WithTimeout(context.Background(), requestTimeout)
	defer cancel()
	called := time.Since(h.begun)
	appended, err := log.Append(ctx, a.stream, a.expected,
		eventlog.Event{ID: a.id, Type: "test.noted/v1", Time: time.Now().UTC().Truncate(time.Microsecond),
			Data: json.RawMessage(`{}`)})
	var conflict *eventlog.Conflict
	t := response{at: appended.Revision}
	switch {
	case errors.As(err, &conflict):
		t = response{conflict: true, at: conflict.Actual}
	case errors.Is(err, eventlog.ErrUnknownOutcome):
		t = response{unknown: true}
	case err != nil: // not written; the state of the stream is unknown
		time.Sleep(10 * time.Millisecond)
		return response{unknown: true} // the caller repeats the request
	}
	h.record(client, a, called, t)
	return t
}

func (h *recorder) read(log eventlog.Log, client int, stream string, from eventlog.Revision) {
	ctx, cancel := context.WithTimeout(context.Background(), requestTimeout)
	defer cancel()
	called, t := time.Since(h.begun), response{}
	for recorded, err := range log.ReadStream(ctx, stream, from, 0) {
		if err != nil {
			time.Sleep(10 * time.Millisecond)
			return // no answer
		}
		t.ids = append(t.ids, recorded.ID)
	}
	h.record(client, request{stream: stream, from: from}, called, t)
}

// TestHistoriesOfLogClientsAreLinearizable runs concurrent clients on four streams while PostgreSQL is restarted and
// proxies drop answers.
func TestHistoriesOfLogClientsAreLinearizable(t *testing.T) {
	skipIfShort(t)
	chosen := seed(t)
	pg := postgrestest.Start(t, postgrestest.Config{})
	h := &recorder{t: t, begun: time.Now()}
	span := 10 * time.Second
	if long() {
		span = time.Minute
	}
	var proxies []*proxy
	var logs []eventlog.Log
	for range 4 {
		w := newProxy(t, pg.Address())
		at := url.URL{Scheme: "postgres", User: url.UserPassword(postgrestest.User, postgrestest.Password),
			Host: w.address(),
			Path: "/" + postgrestest.Database, RawQuery: "sslmode=disable"}
		log, err := postgres.Open(context.Background(), at.String(),
			postgres.Config{Timeout: time.Second, RetryTimeout: time.Second})
		require.NoError(t, err)
		defer log.Close()
		proxies, logs = append(proxies, w), append(logs, log)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var clients sync.WaitGroup
	for n := range 8 {
		clients.Go(func() { h.work(ctx, logs[n%4], n, rand.New(rand.NewPCG(chosen, uint64(n)))) })
	}
	restarts, cuts := h.disturb(pg, proxies, span, rand.New(rand.NewPCG(chosen, 99)))
	cancel()
	clients.Wait()

	h.judge(restarts, cuts)
}

// disturb crashes and restarts PostgreSQL, and drops answers.
func (h *recorder) disturb(pg *postgrestest.Server, proxies []*proxy, span time.Duration,
	random *rand.Rand) (restarts, cuts int) {
	for time.Since(h.begun) < span {
		time.Sleep(time.Duration(300+random.IntN(500)) * time.Millisecond)
		if random.IntN(2) == 0 {
			restarts++
			require.NoError(h.t, pg.Restart(postgrestest.Immediate))
			continue
		}
		cuts++
		p := proxies[random.IntN(len(proxies))]
		p.set(conditions{dropDown: true})
		time.Sleep(time.Duration(random.IntN(500)) * time.Millisecond)
		p.clear()
	}
	return restarts, cuts
}

func (h *recorder) judge(restarts, cuts int) {
	t, model := h.t, streams.ToModel()
	unknown := 0
	for _, o := range h.all {
		if o.Output.(response).unknown {
			unknown++
		}
	}
	begun := time.Now()
	require.Equal(t, porcupine.Ok, porcupine.CheckOperationsTimeout(model, h.all, timeout))
	t.Logf("histories: %d operations of 8 clients on 4 streams, %d of unknown outcome; %d immediate restarts of "+
		"PostgreSQL, %d periods of lost answers; linearizable, checked in %s",
		len(h.all), unknown, restarts, cuts, time.Since(begun).Round(time.Millisecond))

	for what, spoil := range map[string]func(request, response) (response, bool){
		"a read that misses one event": func(_ request, o response) (response, bool) {
			if len(o.ids) < 2 {
				return o, false
			}
			o.ids = slices.Concat(o.ids[:1], o.ids[2:])
			return o, true
		},
		"a success that was a conflict": func(a request, o response) (response, bool) {
			if !o.conflict {
				return o, false
			}
			return response{at: a.expected + 1}, true
		},
	} {
		begun := time.Now()
		require.Equal(t, porcupine.Illegal, porcupine.CheckOperationsTimeout(model, corrupted(h.all, spoil), timeout),
			what)
		t.Logf("negative control: %s detected in %s", what, time.Since(begun).Round(time.Millisecond))
	}
}

// corrupted returns a history with one changed response in the middle.
func corrupted(all []porcupine.Operation, spoil func(request, response) (response, bool)) []porcupine.Operation {
	all = slices.Clone(all)
	for i := len(all) / 2; i < len(all); i++ {
		if t := all[i].Output.(response); !t.unknown {
			if other, ok := spoil(all[i].Input.(request), t); ok {
				all[i].Output = other
				return all
			}
		}
	}
	return all
}
