package engine_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/droverhq/drover/domain"
	"github.com/droverhq/drover/engine"
	"github.com/droverhq/drover/eventlog"
)

// environments adds environments, so that the log has more events than fit into a page.
func environments(t *testing.T, f *fixture, n int) {
	t.Helper()
	for i := range n {
		_, err := f.Handle(context.Background(), domain.ID{}, domain.ApplyEnvironment{Name: fmt.Sprintf("env-%04d", i)})
		require.NoError(t, err)
	}
}

func logOf(t *testing.T, f *fixture) (all []eventlog.Recorded) {
	t.Helper()
	for rec, err := range f.log.ReadAll(context.Background(), 0, 0) {
		require.NoError(t, err)
		all = append(all, rec)
	}
	return all
}

func TestFollowerReturnsEachEventOnceAndInOrderFromAnyPosition(t *testing.T) {
	f := newFixture(t)
	environments(t, f, 450)
	all := logOf(t, f)
	for _, begin := range []int{0, 1, 199, 200, 201, len(all) - 1} {
		follower := f.Follow(positionBehind(all, begin), nil)
		var got []eventlog.Recorded
		for len(got) < len(all)-begin {
			page, err := follower.Next(t.Context())
			require.NoError(t, err)
			got = append(got, page...)
		}
		require.Equal(t, all[begin:], got)
		require.Equal(t, all[len(all)-1].Position, follower.Position())
	}
}

// positionBehind returns the position of the nth event, 0 for n = 0.
func positionBehind(all []eventlog.Recorded, n int) eventlog.Position {
	if n == 0 {
		return 0
	}
	return all[n-1].Position
}

func TestFollowerWaitsForNewEvents(t *testing.T) {
	f := newFixture(t)
	follower := f.Follow(f.Position(), func(rec eventlog.Recorded) bool { return rec.Stream == "environment/lab" })
	ended, end := context.WithCancel(t.Context())
	end()
	_, err := follower.Next(ended)
	require.ErrorIs(t, err, context.Canceled, "no event is stored yet")

	got := make(chan []eventlog.Recorded)
	go func() {
		page, _ := follower.Next(t.Context())
		got <- page
	}()
	environments(t, f, 250) // more events than fit into a page, none of which the filter selects
	_, err = f.Handle(t.Context(), f.id(), domain.ApplyEnvironment{Name: "lab"})
	require.NoError(t, err)
	select {
	case page := <-got:
		require.Len(t, page, 1)
		require.Equal(t, "environment/lab", page[0].Stream)
	case <-time.After(time.Minute):
		t.Fatal("the follower did not wake up")
	}
}

func TestFollowerAfterTheEndOfTheLogGetsErrLost(t *testing.T) {
	f := newFixture(t)
	follower := f.Follow(f.Position()+1, nil)
	_, err := follower.Next(t.Context())
	require.ErrorIs(t, err, engine.ErrLost)
	require.ErrorContains(t, err, "restored from a backup")
}

func TestFollowerDetectsARestoredLogThatHasGrownSince(t *testing.T) {
	f := newFixture(t)
	environments(t, f, 5)
	older := prefixOf(t, f.log, 3)
	log := &swappableLog{f.log}
	e, err := engine.Open(t.Context(), engine.Config{Log: log, Clock: f.clock, Server: domain.ID{15: 9}})
	require.NoError(t, err)
	follower := e.Follow(0, nil)
	page, err := follower.Next(t.Context())
	require.NoError(t, err)
	require.Len(t, page, 6)

	log.Log = older
	require.NoError(t, e.CatchUp(t.Context()))
	_, err = e.Handle(t.Context(), domain.ID{}, domain.AcceptRestore{Was: domain.ID(e.LogID()), At: f.clock.Now()})
	require.NoError(t, err)
	for i := range 6 {
		_, err := e.Handle(t.Context(), domain.ID{}, domain.ApplyEnvironment{Name: fmt.Sprintf("new-%d", i)})
		require.NoError(t, err)
	}
	require.Greater(t, e.Position(), follower.Position(), "the log is longer than it was")
	_, err = follower.Next(t.Context())
	require.ErrorIs(t, err, engine.ErrLost)
}
