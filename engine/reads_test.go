package engine_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/droverhq/drover/domain"
	"github.com/droverhq/drover/engine"
	"github.com/droverhq/drover/eventlog"
	"github.com/droverhq/drover/eventlog/memory"
	"github.com/droverhq/drover/projections"
)

// slowReads is a log with slow reads. A read returns the events that are in the log when it starts.
type slowReads struct {
	eventlog.Log
	took  time.Duration
	count atomic.Int64
	fail  atomic.Bool
}

func (l *slowReads) ReadAll(ctx context.Context, after eventlog.Position, limit int) iter.Seq2[eventlog.Recorded,
	error] {
	return func(yield func(eventlog.Recorded, error) bool) {
		l.count.Add(1)
		var found []eventlog.Recorded
		for rec, err := range l.Log.ReadAll(ctx, after, limit) {
			if err != nil {
				yield(rec, err)
				return
			}
			found = append(found, rec)
		}
		time.Sleep(l.took)
		if l.fail.Load() {
			yield(eventlog.Recorded{}, eventlog.ErrUnavailable)
			return
		}
		for _, rec := range found {
			if !yield(rec, nil) {
				return
			}
		}
	}
}

func onSlowReads(t *testing.T) (*slowReads, *engine.Engine) {
	t.Helper()
	log := &slowReads{Log: memory.New(), took: time.Millisecond}
	e, err := engine.Open(t.Context(), engine.Config{Log: log, Clock: &manualClock{}, Server: domain.ID{15: 1}})
	require.NoError(t, err)
	require.NoError(t, e.Start(t.Context()))
	_, err = e.Handle(t.Context(), domain.ID{}, domain.ApplyEnvironment{Name: "production"})
	require.NoError(t, err)
	log.count.Store(0)
	return log, e
}

func TestConcurrentCommandsShareTheirReads(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log, e := onSlowReads(t)
		const commands = 100
		var all sync.WaitGroup
		for i := range commands {
			all.Go(func() {
				_, err := e.Handle(t.Context(), domain.ID{},
					domain.ApplyMachine{Name: fmt.Sprintf("web-%03d", i), Environment: "production"})
				require.NoError(t, err)
			})
		}
		all.Wait()
		require.LessOrEqual(t, log.count.Load(), int64(6), "alone, each would read twice")
		e.Read(func(v *projections.View) { require.Len(t, v.Machines, commands) })
	})
}

func TestCatchUpIncludesEverythingAppendedBefore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log, e := onSlowReads(t)
		var all sync.WaitGroup
		for i := range 50 {
			all.Go(func() {
				time.Sleep(time.Duration(i) * log.took / 7) // so that some arrive in the middle of a read
				name := fmt.Sprintf("other-%02d", i)
				typeName, data, err := domain.Encode(domain.EnvironmentDefined{})
				require.NoError(t, err)
				at, err := log.Append(t.Context(), domain.EnvironmentStream(name), eventlog.NoStream,
					eventlog.Event{ID: [16]byte{15: byte(i + 1)}, Type: typeName, Data: data,
						Time: time.Unix(0, 0).UTC()})
				require.NoError(t, err)
				require.NoError(t, e.CatchUp(t.Context()))
				require.GreaterOrEqual(t, e.Position(), at.Position, "another server appended it before the call")
			})
		}
		all.Wait()
		require.Less(t, log.count.Load(), int64(50))
	})
}

func TestFailedReadIsNotShared(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log, e := onSlowReads(t)
		log.fail.Store(true)
		first, second := make(chan error, 1), make(chan error, 1)
		point := e.ReadPoint()
		go func() { first <- e.CatchUpTo(t.Context(), point) }()
		synctest.Wait()
		go func() { second <- e.CatchUpTo(t.Context(), point) }()
		time.Sleep(log.took)
		require.ErrorIs(t, <-first, eventlog.ErrUnavailable)
		log.fail.Store(false)
		require.NoError(t, <-second)
		require.EqualValues(t, 2, log.count.Load())
		require.NoError(t, e.CatchUpTo(t.Context(), point))
		require.EqualValues(t, 2, log.count.Load(), "another caller has read since")
		require.NoError(t, e.CatchUpTo(t.Context(), 0))
		require.EqualValues(t, 3, log.count.Load(), "the zero value means now")
	})
}

// rival appends to a stream right before the next append there, as another server may.
type rival struct {
	eventlog.Log
	before func()
}

func (r *rival) Append(ctx context.Context, stream string, expected eventlog.Revision,
	events ...eventlog.Event) (eventlog.Appended, error) {
	if before := r.before; before != nil {
		r.before = nil
		before()
	}
	return r.Log.Append(ctx, stream, expected, events...)
}

// rivals returns two servers, and the log through which the second can append right before the first.
func rivals(t *testing.T) (log *rival, e, other *engine.Engine) {
	log = &rival{Log: memory.New()}
	e, err := engine.Open(t.Context(), engine.Config{Log: log, Clock: &manualClock{}, Server: domain.ID{15: 1}})
	require.NoError(t, err)
	require.NoError(t, e.Start(t.Context()))
	other, err = engine.Open(t.Context(), engine.Config{Log: log.Log, Clock: &manualClock{}, Server: domain.ID{15: 2}})
	require.NoError(t, err)
	return log, e, other
}

func TestCommandAsOfAnEarlierReadPointIsDecidedAgainAfterAConflict(t *testing.T) {
	log, e, other := rivals(t)
	do := func(e *engine.Engine, c domain.Command) error {
		_, err := e.Handle(t.Context(), domain.ID{}, c)
		return err
	}
	require.NoError(t, do(e, domain.ApplyEnvironment{Name: "production"}))
	require.NoError(t, do(e, domain.ApplyMachine{Name: "web-01", Environment: "production"}))
	point := e.ReadPoint()
	require.NoError(t, e.CatchUpTo(t.Context(), point))
	log.before = func() {
		require.NoError(t,
			do(other, domain.DeleteMachine{Name: "web-01", Origin: domain.By("ann")}))
	}
	_, err := e.HandleAsOf(t.Context(), point, domain.ID{}, domain.SetMachineEnabled{Name: "web-01", Enabled: false})
	var rejection *domain.Rejection
	require.True(t, errors.As(err, &rejection), err)
	require.Equal(t, domain.NotFound, rejection.Kind)
}

func TestReleaseOfAProjectThatWasReplacedMeanwhileIsRejected(t *testing.T) {
	log, e, other := rivals(t)
	do := func(c domain.Command) {
		_, err := other.Handle(t.Context(), domain.ID{}, c)
		require.NoError(t, err)
	}
	project := func(run string) domain.Command {
		return domain.ApplyProject{Name: "shop",
			Settings: domain.ProjectSettings{Steps: []domain.Step{{Name: "start", Run: run}}}}
	}
	do(project("one"))
	create := domain.CreateRelease{Project: "shop", Version: "1.0"}
	log.before = func() { do(domain.DeleteProject{Name: "shop"}); do(project("two")) }
	_, err := e.Handle(t.Context(), domain.ID{1}, create)
	require.ErrorContains(t, err, "project shop was deleted and created again while release 1.0 was being created")
	result, err := e.Handle(t.Context(), domain.ID{2}, create)
	require.NoError(t, err)
	require.Equal(t, []string{"ReleaseCreated"}, result.Events)
	log.before = func() { do(domain.DeleteProject{Name: "shop"}) }
	_, err = e.Handle(t.Context(), domain.ID{3}, domain.CreateRelease{Project: "shop", Version: "2.0"})
	require.ErrorContains(t, err, "project \"shop\" does not exist")
}
