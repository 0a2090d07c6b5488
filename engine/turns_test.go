package engine

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

// waitInTurn starts a caller that takes the turn of stream s, records its name, and ends the turn.
func waitInTurn(t *testing.T, s *turns, all *sync.WaitGroup, urgent bool, record func()) {
	t.Helper()
	all.Go(func() {
		_, err := s.take(context.Background(), "s", urgent)
		if err == nil {
			record()
			s.end("s", 1)
		}
	})
	synctest.Wait() // so that callers arrive in the order of the calls
}

func TestCommandsThatRemovePowerTakeTheirTurnFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newTurns()
		_, err := s.take(t.Context(), "s", false)
		require.NoError(t, err)
		var all sync.WaitGroup
		var order []string
		for _, name := range []string{"apply", "disable", "deploy", "revoke"} {
			waitInTurn(t, &s, &all, name == "disable" || name == "revoke", func() { order = append(order, name) })
		}
		s.end("s", 1)
		all.Wait()
		require.Equal(t, []string{"disable", "revoke", "apply", "deploy"}, order)
		require.Empty(t, s.queues, "a stream without a turn uses no memory")
	})
}

func TestStreamsDoNotWaitForEachOther(t *testing.T) {
	s := newTurns()
	for _, stream := range []string{"a", "b"} {
		_, err := s.take(t.Context(), stream, false)
		require.NoError(t, err)
	}
}

func TestWaiterThatGivesUpIsSkipped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newTurns()
		_, err := s.take(t.Context(), "s", false)
		require.NoError(t, err)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		gaveUp := make(chan error, 1)
		go func() {
			_, err := s.take(ctx, "s", true)
			gaveUp <- err
		}()
		synctest.Wait()
		var all sync.WaitGroup
		served := false
		waitInTurn(t, &s, &all, false, func() { served = true })
		err = <-gaveUp
		var busy *Busy
		require.ErrorAs(t, err, &busy)
		require.Equal(t, Busy{Stream: "s", Waiting: 2, Err: context.DeadlineExceeded}, *busy)
		s.end("s", 1)
		all.Wait()
		require.True(t, served)
	})
}

func TestTurnThatIsGrantedToACallerThatGivesUpIsPassedOn(t *testing.T) {
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	gaveUp := 0
	for range 100 { // which of the two is noticed first is random
		s := newTurns()
		_, err := s.take(t.Context(), "s", false)
		require.NoError(t, err)
		w, err := s.join("s", false)
		require.NoError(t, err)
		s.end("s", 1)
		if _, err = s.await(ended, "s", w); err == nil {
			s.end("s", 1)
		} else {
			gaveUp++
		}
		require.Empty(t, s.queues)
	}
	require.NotZero(t, gaveUp)
}

func TestFullQueueRefusesOnlyItsClass(t *testing.T) {
	s := newTurns()
	_, err := s.take(t.Context(), "s", false)
	require.NoError(t, err)
	for range maxWaiting {
		_, err := s.join("s", false)
		require.NoError(t, err)
	}
	require.Equal(t, maxWaiting, s.waiting())
	_, err = s.take(t.Context(), "s", false)
	var busy *Busy
	require.True(t, errors.As(err, &busy), err)
	require.EqualError(t, err, "4096 commands are waiting to write to stream s on this server")
	w, err := s.join("s", true)
	require.NoError(t, err, "commands that remove power have their own bound")
	s.end("s", 7)
	<-w.granted
	require.EqualValues(t, 7, w.point, "the next caller reads what this one appended")
}
