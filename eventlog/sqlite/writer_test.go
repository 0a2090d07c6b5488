package sqlite_test

import (
	"context"
	"database/sql"
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/droverhq/drover/eventlog"
	"github.com/droverhq/drover/eventlog/sqlite"
)

// openLocked opens a log whose lock another program holds, and returns a function that releases the lock.
func openLocked(t *testing.T) (log *sqlite.Log, release func()) {
	path := filepath.Join(t.TempDir(), "drover.db")
	log = open(t, path)
	t.Cleanup(func() { require.NoError(t, log.Close()) })
	other, err := sql.Open("sqlite", path)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, other.Close()) })
	other.SetMaxOpenConns(1)
	_, err = other.Exec(`BEGIN IMMEDIATE`)
	require.NoError(t, err)
	return log, func() {
		_, err := other.Exec(`ROLLBACK`)
		require.NoError(t, err)
	}
}

// appendAsync appends in a new goroutine.
func appendAsync(ctx context.Context, log eventlog.Log, stream string, expected eventlog.Revision,
	n uint64) <-chan error {
	done := make(chan error, 1)
	go func() {
		_, err := log.Append(ctx, stream, expected, sample(n))
		done <- err
	}()
	return done
}

func TestCancelledCallerLearnsWhetherItsAppendMayStillSucceed(t *testing.T) {
	log, release := openLocked(t)
	background := context.Background()
	cancellable, cancel := context.WithCancel(background)
	taken := appendAsync(cancellable, log, "taken", eventlog.NoStream, 1)
	require.Eventually(t, func() bool { return sqlite.Taken(log) == 1 }, 10*time.Second, time.Millisecond)
	queued := appendAsync(cancellable, log, "queued", eventlog.NoStream, 2)
	stays := appendAsync(background, log, "stays", eventlog.NoStream, 3)
	require.Eventually(t, func() bool { return sqlite.Waiting(log) == 2 }, 10*time.Second, time.Millisecond)
	cancel()

	err := <-taken
	require.ErrorIs(t, err, eventlog.ErrUnknownOutcome)
	require.ErrorIs(t, err, context.Canceled)
	err = <-queued
	require.ErrorIs(t, err, context.Canceled)
	require.NotErrorIs(t, err, eventlog.ErrUnknownOutcome)

	release()
	require.NoError(t, <-stays)
	var streams []string
	for event, err := range log.ReadAll(background, 0, 0) {
		require.NoError(t, err)
		streams = append(streams, event.Stream)
	}
	require.Equal(t, []string{"taken", "stays"}, streams)
	appended, err := log.Append(background, "taken", eventlog.NoStream, sample(1))
	require.NoError(t, err)
	require.True(t, appended.Repeat)
}

func TestEachAppendOfBatchIsDecidedSeparately(t *testing.T) {
	log, release := openLocked(t)
	ctx := context.Background()
	first := appendAsync(ctx, log, "a", eventlog.NoStream, 1)
	require.Eventually(t, func() bool { return sqlite.Taken(log) == 1 }, 10*time.Second, time.Millisecond)
	const racers = 20
	var waiting []<-chan error
	for i := range uint64(racers) {
		waiting = append(waiting, appendAsync(ctx, log, "race", eventlog.NoStream, 100+i),
			appendAsync(ctx, log, fmt.Sprint("own/", i), eventlog.NoStream, 200+i))
	}
	require.Eventually(t, func() bool { return sqlite.Waiting(log) == 2*racers }, 10*time.Second, time.Millisecond)
	release()
	require.NoError(t, <-first)
	won := 0
	for i, answer := range waiting {
		err := <-answer
		if i%2 == 1 {
			require.NoError(t, err)
			continue
		}
		if err == nil {
			won++
			continue
		}
		var conflict *eventlog.Conflict
		require.ErrorAs(t, err, &conflict)
		require.Equal(t, eventlog.Conflict{Stream: "race", Expected: eventlog.NoStream, Actual: 0}, *conflict)
	}
	require.Equal(t, 1, won)
	verified, err := eventlog.Verify(ctx, log, nil)
	require.NoError(t, err)
	require.Equal(t, racers+2, verified.Events)
}

func TestCloseRefusesWaitingAppends(t *testing.T) {
	log, release := openLocked(t)
	ctx := context.Background()
	taken := appendAsync(ctx, log, "taken", eventlog.NoStream, 1)
	require.Eventually(t, func() bool { return sqlite.Taken(log) == 1 }, 10*time.Second, time.Millisecond)
	queued := appendAsync(ctx, log, "queued", eventlog.NoStream, 2)
	require.Eventually(t, func() bool { return sqlite.Waiting(log) == 1 }, 10*time.Second, time.Millisecond)
	closed := make(chan error, 1)
	go func() { closed <- log.Close() }()
	require.Eventually(t, func() bool { _, err := log.ID(ctx); return err != nil }, 10*time.Second, time.Millisecond)
	release()
	require.NoError(t, <-closed)
	require.NoError(t, <-taken)
	require.ErrorIs(t, <-queued, eventlog.ErrClosed)
}
