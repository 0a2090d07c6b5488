package engine_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/droverhq/drover/domain"
	"github.com/droverhq/drover/engine"
	"github.com/droverhq/drover/eventlog"
	"github.com/droverhq/drover/eventlog/memory"
	"github.com/droverhq/drover/projections"
)

// slowAppends is a log whose appends take a second each. It counts the appends that it refuses.
type slowAppends struct {
	*memory.Log
	conflicts atomic.Int64
}

func (l *slowAppends) Append(ctx context.Context, stream string, expected eventlog.Revision,
	events ...eventlog.Event) (eventlog.Appended, error) {
	time.Sleep(time.Second)
	appended, err := l.Log.Append(ctx, stream, expected, events...)
	if errors.As(err, new(*eventlog.Conflict)) {
		l.conflicts.Add(1)
	}
	return appended, err
}

// onSlowAppends returns a server with project shop and 16 machines, on a log with slow appends.
func onSlowAppends(t *testing.T) (*slowAppends, *engine.Engine) {
	log := &slowAppends{Log: memory.New()}
	e, err := engine.Open(t.Context(), engine.Config{Log: log, Clock: &manualClock{}, Server: domain.ID{15: 1}})
	require.NoError(t, err)
	require.NoError(t, e.Start(t.Context()))
	do := func(c domain.Command) {
		_, err := e.Handle(t.Context(), domain.ID(uuid.New()), c)
		require.NoError(t, err)
	}
	do(domain.ApplyEnvironment{Name: "production"})
	do(domain.ApplyProject{Name: "shop", Settings: domain.ProjectSettings{
		Steps: []domain.Step{{Name: "install", Run: "true"}}}})
	for n := range 16 {
		do(domain.ApplyMachine{Name: fmt.Sprintf("web-%02d", n), Environment: "production"})
	}
	return log, e
}

func TestCommandsOfOneStreamDoNotConflictOnOneServer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log, e := onSlowAppends(t)
		var all sync.WaitGroup
		for n := range 16 {
			all.Go(func() {
				_, err := e.Handle(t.Context(), domain.ID(uuid.New()),
					domain.SetHold{Project: "shop", Machine: fmt.Sprintf("web-%02d", n)})
				require.NoError(t, err)
			})
		}
		all.Wait()
		require.Zero(t, log.conflicts.Load())
	})
}

func TestRepeatThatWaitsForTheFirstGetsItsAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, e := onSlowAppends(t)
		id := domain.ID(uuid.New())
		results := make([]engine.Result, 2)
		var all sync.WaitGroup
		for n := range results {
			all.Go(func() {
				var err error
				results[n], err = e.Handle(t.Context(), id, domain.SetHold{Project: "shop", Machine: "web-01"})
				require.NoError(t, err)
			})
			synctest.Wait()
		}
		all.Wait()
		require.False(t, results[0].Repeat)
		require.True(t, results[1].Repeat)
		require.Equal(t, results[0].IDs, results[1].IDs)
	})
}

func TestTickIsNotStarvedByCommandsOfItsServer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log, e := onSlowAppends(t)
		ctx, stop := context.WithCancel(t.Context())
		pinned := time.Date(2026, 1, 1, 9, 0, 0, 0, time.UTC) // has passed, so a tick lifts the hold
		_, err := e.Handle(t.Context(), domain.ID(uuid.New()),
			domain.SetHold{Project: "shop", Machine: "web-00", Until: &pinned})
		require.NoError(t, err)
		var all sync.WaitGroup
		for n := range 8 {
			all.Go(func() {
				for ctx.Err() == nil {
					_, _ = e.Handle(ctx, domain.ID(uuid.New()),
						domain.SetHold{Project: "shop", Machine: "web-01", Reason: fmt.Sprint(n)})
					_, _ = e.Handle(ctx, domain.ID(uuid.New()), domain.LiftHold{Project: "shop", Machine: "web-01"})
				}
			})
		}
		time.Sleep(1500 * time.Millisecond) // an append is on its way
		_, err = e.Tick(t.Context())
		require.NoError(t, err)
		e.Read(func(v *projections.View) { require.Nil(t, v.World().Hold("shop", "web-00", "")) })
		require.LessOrEqual(t, log.conflicts.Load(), int64(2), "the tick and at most one command")
		stop()
		all.Wait()
	})
}

// busyRival appends to a stream before each append there, as fast servers may.
type busyRival struct {
	eventlog.Log
	before func()
	inside bool
}

func (r *busyRival) Append(ctx context.Context, stream string, expected eventlog.Revision,
	events ...eventlog.Event) (eventlog.Appended, error) {
	if r.before != nil && !r.inside {
		r.inside = true
		r.before()
		r.inside = false
	}
	return r.Log.Append(ctx, stream, expected, events...)
}

func TestCommandThatOtherServersAlwaysPrecedeIsContendedAndNotExecuted(t *testing.T) {
	f := newFixture(t)
	f.shop()
	f.do(domain.ApplyMachine{Name: "web-01", Environment: "production"})
	log := &busyRival{Log: f.log}
	e, err := engine.Open(t.Context(), engine.Config{Log: log, Clock: f.clock, Server: domain.ID{15: 2}})
	require.NoError(t, err)
	enabled := false
	log.before = func() {
		_, err := f.Handle(t.Context(), domain.ID(uuid.New()), domain.SetMachineEnabled{Name: "web-01", Enabled: enabled})
		require.NoError(t, err)
		enabled = !enabled
	}
	id, command := f.id(), domain.ApplyMachine{Name: "web-01", Environment: "production", Roles: []string{"db"}}
	_, err = e.Handle(t.Context(), id, command)
	require.ErrorIs(t, err, engine.ErrContended)
	require.NotErrorIs(t, err, eventlog.ErrUnavailable)
	require.ErrorContains(t, err, "machine/web-01")
	log.before = nil
	result, err := e.Handle(t.Context(), id, command)
	require.NoError(t, err, "the turn was passed on")
	require.False(t, result.Repeat)
}
