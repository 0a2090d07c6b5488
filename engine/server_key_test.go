package engine_test

import (
	"context"
	"sync"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/droverhq/drover/domain"
	"github.com/droverhq/drover/engine"
	"github.com/droverhq/drover/eventlog"
	"github.com/droverhq/drover/serverkey"
)

// keyEvents returns the number of server keys in the log.
func (f *fixture) keyEvents() (n int) {
	for _, err := range f.log.ReadStream(f.t.Context(), domain.ServerKeyStream, 0, 0) {
		require.NoError(f.t, err)
		n++
	}
	return n
}

func TestServersThatStartAtOnceAgreeOnOneKey(t *testing.T) {
	f := newFixture(t)
	require.True(t, f.ServerKey().IsZero())
	servers := []*engine.Engine{f.Engine, f.server(2), f.server(3), f.server(4)}
	var all sync.WaitGroup
	for _, e := range servers {
		all.Go(func() { require.NoError(t, e.EnsureServerKey(t.Context())) })
	}
	all.Wait()
	require.Equal(t, 1, f.keyEvents())
	key := f.ServerKey()
	require.False(t, key.IsZero())
	for _, e := range servers {
		require.Equal(t, key, e.ServerKey())
		require.True(t, key.Public().Verify(e.ServerKey().Sign("test", []byte("a")), "test", []byte("a")))
	}
	require.NoError(t, f.server(5).EnsureServerKey(t.Context()))
	require.Equal(t, 1, f.keyEvents(), "a later server uses the key of the log")
}

func TestServerKeySurvivesAnAcceptedRestoreAndASnapshot(t *testing.T) {
	f := newFixture(t)
	require.NoError(t, f.EnsureServerKey(t.Context()))
	key := f.ServerKey()
	backup := prefixOf(t, f.log, f.Position())
	f.shop()
	s := &memorySnapshots{}
	e, _ := f.openWith(s, nil)
	require.NoError(t, e.Snapshot())
	e, _ = f.openWith(s, nil)
	require.NotZero(t, e.ResumedFrom())
	require.Equal(t, key, e.ServerKey())

	f.log = backup
	e, _ = f.openWith(s, nil)
	require.ErrorIs(t, e.LostEvents(), engine.ErrLostEvents)
	require.NoError(t, e.EnsureServerKey(t.Context()))
	require.Equal(t, key, e.ServerKey(), "a server that must not decide can prove itself")
	_, err := e.Handle(t.Context(), f.id(), domain.AcceptRestore{Was: domain.ID(e.LogID()), At: f.clock.Now()})
	require.NoError(t, err)
	require.NoError(t, e.EnsureServerKey(t.Context()))
	require.Equal(t, key, e.ServerKey())
	require.Equal(t, 1, f.keyEvents())
}

func TestRunningServerAddsItsKeyToARestoredLogWithoutOne(t *testing.T) {
	f := newFixture(t)
	s := &swappableLog{f.log}
	e, err := engine.Open(t.Context(), engine.Config{Log: s, Clock: f.clock, Server: domain.ID{15: 1}})
	require.NoError(t, err)
	require.NoError(t, e.Start(t.Context()))
	backup := prefixOf(t, f.log, e.Position())
	require.NoError(t, e.EnsureServerKey(t.Context()))
	key := e.ServerKey()
	s.Log = backup
	require.NoError(t, e.CatchUp(t.Context()))
	require.ErrorIs(t, e.LostEvents(), engine.ErrLostEvents)
	require.True(t, e.ServerKey().IsZero())
	require.NoError(t, e.EnsureServerKey(t.Context()))
	require.Equal(t, key, e.ServerKey())
}

func TestInvalidServerKeyInTheLogProvesNothing(t *testing.T) {
	mine, err := serverkey.New()
	require.NoError(t, err)
	other, err := serverkey.New()
	require.NoError(t, err)
	for name, e := range map[string]domain.ServerKeyCreated{
		"halves of two keys": {Public: mine.Public().String(), Secret: other.Secret()},
		"no private half":    {Public: mine.Public().String()},
		"damaged half":       {Public: mine.Public().String(), Secret: mine.Secret()[1:]},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t)
			typeName, data, err := domain.Encode(e)
			require.NoError(t, err)
			_, err = f.log.Append(context.Background(), domain.ServerKeyStream, eventlog.NoStream,
				eventlog.Event{ID: uuid.New(), Type: typeName, Data: data})
			require.NoError(t, err)
			require.NoError(t, f.CatchUp(t.Context()))
			require.NoError(t, f.EnsureServerKey(t.Context()))
			require.Equal(t, 1, f.keyEvents(), "no server silently replaces a key")
			require.True(t, f.ServerKey().IsZero())
		})
	}
}
