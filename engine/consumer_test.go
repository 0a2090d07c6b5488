package engine_test

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/droverhq/drover/domain"
	"github.com/droverhq/drover/engine"
	"github.com/droverhq/drover/eventlog"
	"github.com/droverhq/drover/eventlog/memory"
	"github.com/droverhq/drover/eventlog/sqlite"
)

// bubbleClock is an engine.Clock inside a synctest bubble.
type bubbleClock struct{ start time.Time }

func (c bubbleClock) Now() time.Time         { return time.Now() }
func (c bubbleClock) Elapsed() time.Duration { return time.Since(c.start) }

// handled records the events that a consumer handled on all servers.
type handled struct {
	mu  sync.Mutex
	ids []uuid.UUID
}

func (h *handled) note(_ context.Context, page []eventlog.Recorded) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, rec := range page {
		h.ids = append(h.ids, rec.ID)
	}
	return nil
}

// consumerServer is a server that runs a consumer.
type consumerServer struct {
	*engine.Engine
	// end stops the server. freeze stops only its lease, as if its process were suspended.
	end, freeze func()
}

func startConsumer(t *testing.T, log eventlog.Backend, n byte, c engine.Consumer) consumerServer {
	return startConsumerBy(t, log, n, engine.CurrentRules(), c)
}

func startConsumerBy(t *testing.T, log eventlog.Backend, n byte, rules engine.Rules, c engine.Consumer) consumerServer {
	ctx, end := context.WithCancel(t.Context())
	e, err := engine.Open(ctx, engine.Config{Log: log, Clock: bubbleClock{time.Now()}, Server: domain.ID{15: n},
		Rules: rules})
	require.NoError(t, err)
	require.NoError(t, e.Start(ctx))
	require.NoError(t, e.RenewLease(ctx, log))
	alive, freeze := context.WithCancel(ctx)
	var running sync.WaitGroup
	running.Go(func() {
		for ticker := time.NewTicker(2 * time.Second); ; {
			select {
			case <-ticker.C:
				_ = e.RenewLease(alive, log)
				_ = e.CatchUp(alive)
			case <-alive.Done():
				return
			}
		}
	})
	running.Go(func() {
		if err := e.Consume(ctx, log, c); !errors.Is(err, context.Canceled) {
			t.Errorf("server %d: %v", n, err)
		}
	})
	return consumerServer{e, func() { end(); running.Wait() }, freeze}
}

func (s consumerServer) environments(t *testing.T, from, to int) {
	for i := from; i < to; i++ {
		_, err := s.Handle(t.Context(), domain.ID{}, domain.ApplyEnvironment{Name: fmt.Sprintf("env-%04d", i)})
		require.NoError(t, err)
	}
}

func onlyEnvironments(rec eventlog.Recorded) bool {
	kind, _ := domain.SplitStream(rec.Stream)
	return kind == domain.EnvironmentStreams
}

// environmentIDs returns the ids of the events that the consumers select, in log order.
func environmentIDs(t *testing.T, log eventlog.Log) (ids []uuid.UUID) {
	for rec, err := range log.ReadAll(t.Context(), 0, 0) {
		require.NoError(t, err)
		if onlyEnvironments(rec) {
			ids = append(ids, rec.ID)
		}
	}
	return ids
}

func TestRestartedConsumerContinuesWithTheNextEvent(t *testing.T) {
	folder := t.TempDir()
	var got handled
	c := engine.Consumer{Name: "test", Filter: onlyEnvironments, Handle: got.note}
	for run := range 3 { // each run is a new process on the same file
		log, err := sqlite.Open(t.Context(), filepath.Join(folder, "drover.db"), sqlite.Config{})
		require.NoError(t, err)
		before := len(environmentIDs(t, log))
		s := startConsumer(t, log, byte(run+1), c)
		require.Eventually(t, func() bool {
			items, _ := log.Newest(t.Context(), eventlog.Cursors)
			return len(items) == 1
		}, time.Minute, time.Millisecond)
		s.environments(t, before, before+230)
		require.Eventually(t, func() bool { got.mu.Lock(); defer got.mu.Unlock(); return len(got.ids) >= before+230 },
			time.Minute, time.Millisecond)
		all := environmentIDs(t, log)
		require.Eventually(t, func() bool { // an end between Handle and the cursor's advance would repeat the page
			return strings.Contains(string(cursorOf(t, log).Data), all[len(all)-1].String())
		}, time.Minute, time.Millisecond)
		s.end()
		require.NoError(t, log.Drop(t.Context(), eventlog.Leases, s.Server().String()))
		require.Equal(t, environmentIDs(t, log), got.ids)
		require.NoError(t, log.Close())
	}
}

func TestOneServerConsumesAndAnotherTakesOverWhenItIsGone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := memory.New()
		var got handled
		c := engine.Consumer{Name: "test", Filter: onlyEnvironments, Handle: got.note}
		a := startConsumer(t, log, 1, c)
		synctest.Wait()
		b := startConsumer(t, log, 2, c)
		a.environments(t, 0, 50)
		time.Sleep(5 * time.Second)
		require.Equal(t, environmentIDs(t, log), got.ids,
			"each event was handled once, although two servers run the consumer")

		a.end() // killed: its lease stays unchanged
		b.environments(t, 50, 100)
		time.Sleep(time.Minute)
		require.Equal(t, environmentIDs(t, log), got.ids)
		b.end()
	})
}

func TestServerThatResumesAfterATakeoverDoesNotAdvanceTheCursor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := memory.New()
		var got handled
		wake := make(chan struct{})
		a := startConsumer(t, log, 1,
			engine.Consumer{Name: "test", Filter: onlyEnvironments,
				Handle: func(context.Context, []eventlog.Recorded) error {
					<-wake // suspended in the middle of a page
					return nil
				}})
		synctest.Wait()
		a.environments(t, 0, 3)
		synctest.Wait()
		a.freeze()
		b := startConsumer(t, log, 2, engine.Consumer{Name: "test", Filter: onlyEnvironments, Handle: got.note})
		time.Sleep(time.Minute)
		b.environments(t, 3, 5)
		synctest.Wait()
		require.Equal(t, environmentIDs(t, log), got.ids, "the second server handles the page of the first")
		before := cursorOf(t, log)
		close(wake)
		synctest.Wait()
		require.Equal(t, before, cursorOf(t, log))
		b.end()
		a.end()
	})
}

func cursorOf(t *testing.T, log eventlog.Store) eventlog.Item {
	items, err := log.Newest(t.Context(), eventlog.Cursors)
	require.NoError(t, err)
	return items["test"]
}

func TestFailedPageIsHandledAgain(t *testing.T) {
	log := memory.New()
	var got handled
	var fails = errors.New("the endpoint is down")
	e, err := engine.Open(t.Context(),
		engine.Config{Log: log, Clock: bubbleClock{time.Now()}, Server: domain.ID{15: 1}})
	require.NoError(t, err)
	require.NoError(t, e.Start(t.Context()))
	s := consumerServer{Engine: e}
	c := engine.Consumer{Name: "test", Filter: onlyEnvironments,
		Handle: func(context.Context, []eventlog.Recorded) error { return fails }}
	failed := make(chan error)
	go func() { failed <- e.Consume(t.Context(), log, c) }()
	require.Eventually(t, func() bool { return cursorOf(t, log).Sequence > 0 }, time.Minute, time.Millisecond)
	s.environments(t, 0, 3)
	require.ErrorIs(t, <-failed, fails)
	c.Handle = got.note
	ctx, end := context.WithCancel(t.Context())
	go func() { failed <- e.Consume(ctx, log, c) }()
	require.Eventually(t, func() bool { got.mu.Lock(); defer got.mu.Unlock(); return len(got.ids) == 3 }, time.Minute,
		time.Millisecond)
	end()
	require.ErrorIs(t, <-failed, context.Canceled)
	require.Equal(t, environmentIDs(t, log), got.ids)
}

func TestHandlerConflictFailsTheConsumer(t *testing.T) {
	log := memory.New()
	e, err := engine.Open(t.Context(),
		engine.Config{Log: log, Clock: bubbleClock{time.Now()}, Server: domain.ID{15: 1}})
	require.NoError(t, err)
	require.NoError(t, e.Start(t.Context()))
	own := &eventlog.SwapConflict{Collection: eventlog.People, Key: "p-1"}
	c := engine.Consumer{Name: "test", Filter: onlyEnvironments,
		Handle: func(context.Context, []eventlog.Recorded) error { return own }}
	failed := make(chan error)
	go func() { failed <- e.Consume(t.Context(), log, c) }()
	require.Eventually(t, func() bool { return cursorOf(t, log).Sequence > 0 }, time.Minute, time.Millisecond)
	consumerServer{Engine: e}.environments(t, 0, 1)
	require.ErrorAs(t, <-failed, &own, "the conflict is the handler's, not a takeover")
}

func TestConsumerRefusesALogWithoutItsLastEvent(t *testing.T) {
	f := newFixture(t)
	environments(t, f, 5)
	ctx, end := context.WithCancel(t.Context())
	c := engine.Consumer{Name: "test", Handle: func(context.Context, []eventlog.Recorded) error { return nil }}
	failed := make(chan error)
	go func() { failed <- f.Consume(ctx, f.log, c) }()
	require.Eventually(t, func() bool { return cursorOf(t, f.log).Sequence > 0 }, time.Minute, time.Millisecond)
	end()
	<-failed

	other := prefixOf(t, f.log, 3) // and gets other events
	// the same server id, so that it need not be gone
	e, err := engine.Open(t.Context(), engine.Config{Log: other, Clock: f.clock, Server: f.Server()})
	require.NoError(t, err)
	require.NoError(t, e.Start(t.Context()))
	for i := range 9 {
		_, err := e.Handle(t.Context(), domain.ID{}, domain.ApplyEnvironment{Name: fmt.Sprintf("new-%d", i)})
		require.NoError(t, err)
	}
	require.ErrorIs(t, e.Consume(t.Context(), f.log, c), engine.ErrLost)
}

func TestServerThatHasJustStartedIsNotGone(t *testing.T) {
	for late := 50 * time.Millisecond; late < 2*time.Second; late += 150 * time.Millisecond {
		synctest.Test(t, func(t *testing.T) {
			log := memory.New()
			var got handled
			c := engine.Consumer{Name: "test", Filter: onlyEnvironments, Handle: got.note}
			first := startConsumer(t, log, 9, c)
			synctest.Wait()
			time.Sleep(500 * time.Millisecond)
			old := startConsumer(t, log, 1, c)
			time.Sleep(20*time.Second + late)
			first.environments(t, 0, 5)
			synctest.Wait()
			first.end() // an orderly stop, which drops the lease
			require.NoError(t, log.Drop(t.Context(), eventlog.Leases, first.Server().String()))
			young := startConsumer(t, log, 2, c) // takes over before the other server has read its lease
			for i := range 60 {
				young.environments(t, 5+i, 6+i)
				_ = old.CatchUp(t.Context())
				time.Sleep(100 * time.Millisecond)
			}
			time.Sleep(20 * time.Second)
			require.Equal(t, environmentIDs(t, log), got.ids, "no server died, so each event was handled once")
			old.end()
			young.end()
		})
	}
}

func TestServerThatMustNotDecideLeavesItsConsumersToAnother(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := memory.New()
		var byOld, byNew handled
		consumer := func(h *handled) engine.Consumer {
			return engine.Consumer{Name: "test", Filter: onlyEnvironments, Handle: h.note}
		}
		old := startConsumer(t, log, 1, consumer(&byOld))
		time.Sleep(5 * time.Second)
		rules := engine.CurrentRules()
		rules.Version++
		newer := startConsumerBy(t, log, 2, rules, consumer(&byNew))
		time.Sleep(5 * time.Second)
		require.ErrorIs(t, old.Stopped(), engine.ErrFenced)
		newer.environments(t, 0, 3)
		time.Sleep(5 * time.Second)
		require.Empty(t, byOld.ids)
		require.Equal(t, environmentIDs(t, log), byNew.ids, "while the older server is alive")
		old.end()
		newer.end()
	})
}
