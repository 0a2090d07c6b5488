package postgres_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/droverhq/drover/eventlog"
	"github.com/droverhq/drover/eventlog/postgres"
	"github.com/droverhq/drover/eventlog/postgres/postgrestest"
)

// eventually waits until condition is true.
func eventually(t *testing.T, condition func() bool) {
	t.Helper()
	require.Eventually(t, condition, 30*time.Second, time.Millisecond)
}

// openLocked opens a log whose lock another session holds, and returns a function that releases the lock.
func openLocked(t *testing.T) (log *postgres.Log, release func()) {
	server := postgrestest.Shared(t)
	schema := server.Name()
	log = open(t, server.URL("schema="+schema))
	t.Cleanup(func() { require.NoError(t, log.Close()) })
	return log, lock(t, server, "LOCK TABLE "+schema+".turn IN EXCLUSIVE MODE")
}

// lock takes a lock and returns a function that releases it.
func lock(t *testing.T, server *postgrestest.Server, statement string) (release func()) {
	tx, err := session(t, server).Begin(context.Background())
	require.NoError(t, err)
	_, err = tx.Exec(context.Background(), statement)
	require.NoError(t, err)
	return func() { require.NoError(t, tx.Rollback(context.Background())) }
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
	eventually(t, func() bool { return postgres.Taken(log) == 1 })
	queued := appendAsync(cancellable, log, "queued", eventlog.NoStream, 2)
	stays := appendAsync(background, log, "stays", eventlog.NoStream, 3)
	eventually(t, func() bool { return postgres.Waiting(log) == 2 })
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
	eventually(t, func() bool { return postgres.Taken(log) == 1 })
	const racers = 20
	var waiting []<-chan error
	for i := range uint64(racers) {
		waiting = append(waiting, appendAsync(ctx, log, "race", eventlog.NoStream, 100+i),
			appendAsync(ctx, log, fmt.Sprint("own/", i), eventlog.NoStream, 200+i))
	}
	eventually(t, func() bool { return postgres.Waiting(log) == 2*racers })
	batches := postgres.Batches(log)
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
	require.LessOrEqual(t, postgres.Batches(log)-batches, int64(2), "one batch for the winners and one for the others")
	verified, err := eventlog.Verify(ctx, log, nil)
	require.NoError(t, err)
	require.Equal(t, racers+2, verified.Events)
}

func TestCloseRefusesWaitingAppends(t *testing.T) {
	log, release := openLocked(t)
	ctx := context.Background()
	taken := appendAsync(ctx, log, "taken", eventlog.NoStream, 1)
	eventually(t, func() bool { return postgres.Taken(log) == 1 })
	queued := appendAsync(ctx, log, "queued", eventlog.NoStream, 2)
	eventually(t, func() bool { return postgres.Waiting(log) == 1 })
	closed := make(chan error, 1)
	go func() { closed <- log.Close() }()
	eventually(t, func() bool { _, err := log.ID(ctx); return err != nil })
	release()
	require.NoError(t, <-closed)
	require.NoError(t, <-taken)
	require.ErrorIs(t, <-queued, eventlog.ErrClosed)
}

func TestAppendReportsLockHeldTooLong(t *testing.T) {
	log, release := openLocked(t)
	_, err := log.Append(context.Background(), "a", eventlog.NoStream, sample(1))
	requireMessage(t, err, "another session held the lock of the log for 5 s")
	require.ErrorIs(t, err, eventlog.ErrUnavailable)
	require.NotErrorIs(t, err, eventlog.ErrUnknownOutcome)
	release()
	appended, err := log.Append(context.Background(), "a", eventlog.NoStream, sample(1))
	require.NoError(t, err)
	require.False(t, appended.Repeat, "the refused append was stored")
}

// openViaProxy opens a log through a proxy to server.
func openViaProxy(t *testing.T, server *postgrestest.Server, config postgres.Config) (*proxy, *postgres.Log) {
	proxy := newProxy(t, server.Address())
	log, err := postgres.Open(context.Background(),
		strings.Replace(fresh(server), server.Address(), proxy.address(), 1), config)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, log.Close()) })
	return proxy, log
}

func testLostAnswer(t *testing.T) {
	server := postgrestest.Shared(t)
	proxy, log := openViaProxy(t, server, postgres.Config{})
	ctx := context.Background()
	for i := range 5 {
		_, err := log.Append(ctx, "warm", eventlog.Revision(i-1), sample(uint64(i)))
		require.NoError(t, err)
	}
	proxy.losing.Store(true)
	before := proxy.discarded.Load()
	answer := make(chan eventlog.Appended, 1)
	go func() {
		appended, err := log.Append(ctx, "a", eventlog.NoStream, sample(9))
		if err != nil {
			t.Error(err)
		}
		answer <- appended
	}()
	eventually(t, func() bool { return proxy.discarded.Load() > before }) // the server has answered the commit
	proxy.losing.Store(false)
	proxy.cut()
	appended := <-answer
	require.True(t, appended.Repeat, "the second attempt must find the events of the first")
	require.Equal(t, eventlog.Position(6), appended.Position)
	require.EqualValues(t, 1, postgres.LostAnswers(log))
	verified, err := eventlog.Verify(ctx, log, nil)
	require.NoError(t, err)
	require.Equal(t, 6, verified.Events)
}

func testLostSwap(t *testing.T) {
	server := postgrestest.Shared(t)
	proxy, log := openViaProxy(t, server, postgres.Config{})
	ctx := context.Background()
	require.NoError(t, log.Put(ctx, eventlog.Cursors, eventlog.Item{Key: "k", Sequence: 1}))
	proxy.losing.Store(true)
	before := proxy.discarded.Load()
	next := eventlog.Item{Key: "k", Sequence: 2, Time: sample(1).Time, Data: []byte("mine")}
	answer := make(chan error, 1)
	go func() { answer <- log.Swap(ctx, eventlog.Cursors, next, 1) }()
	eventually(t, func() bool { return proxy.discarded.Load() > before }) // the server has answered the commit
	proxy.losing.Store(false)
	proxy.cut()
	err := <-answer
	requireMessage(t, err, "outcome of the write is unknown")
	require.ErrorIs(t, err, eventlog.ErrUnknownOutcome)
	other := next
	other.Data = []byte("other")
	var conflict *eventlog.SwapConflict
	require.ErrorAs(t, log.Swap(ctx, eventlog.Cursors, other, 1), &conflict)
	require.EqualValues(t, 2, conflict.Sequence, "the swap was made")
	require.NoError(t, log.Swap(ctx, eventlog.Cursors, next, 1))
}

func testHangingServer(t *testing.T) {
	server := postgrestest.Shared(t)
	proxy, log := openViaProxy(t, server, postgres.Config{})
	_, err := log.Append(context.Background(), "a", eventlog.NoStream, sample(1))
	require.NoError(t, err)
	proxy.losing.Store(true)
	ctx, cancel := context.WithTimeout(context.Background(), 200*time.Millisecond)
	defer cancel()
	done := make(chan error, 20)
	for i := range cap(done) / 2 {
		go func() { _, err := log.Append(ctx, fmt.Sprint("b", i), eventlog.NoStream, sample(1)); done <- err }()
		go func() { _, err := log.Head(ctx); done <- err }()
	}
	for range cap(done) {
		select {
		case err := <-done:
			require.ErrorIs(t, err, context.DeadlineExceeded)
		case <-time.After(5 * time.Second):
			t.Fatal("a call exceeded its context by seconds")
		}
	}
	proxy.losing.Store(false)
	proxy.cut()
	eventually(t, func() bool {
		_, err := log.Append(context.Background(), "c", eventlog.NoStream, sample(3))
		return err == nil
	})
}

func TestHangingServerIsUnavailableToCallersWithoutDeadline(t *testing.T) {
	server := postgrestest.Shared(t)
	proxy, log := openViaProxy(t, server, postgres.Config{Timeout: 300 * time.Millisecond, RetryTimeout: time.Second})
	_, err := log.Append(context.Background(), "a", eventlog.NoStream, sample(1))
	require.NoError(t, err)
	proxy.losing.Store(true)
	_, err = log.Head(context.Background())
	requireMessage(t, err, "the server did not answer in time")
	require.ErrorIs(t, err, eventlog.ErrUnavailable)
	_, err = log.Append(context.Background(), "a", 0, sample(2))
	requireMessage(t, err, "outcome of the write is unknown", "the server did not answer in time")
	require.ErrorIs(t, err, eventlog.ErrUnknownOutcome)
	_, err = log.Append(context.Background(), "b", eventlog.NoStream, sample(3))
	requireMessage(t, err, "the server did not answer in time")
	require.NotErrorIs(t, err, eventlog.ErrUnknownOutcome, "the append was not sent")
	_, err = postgres.Open(context.Background(), strings.Replace(server.URL(), server.Address(), proxy.address(), 1),
		postgres.Config{Timeout: 100 * time.Millisecond})
	requireMessage(t, err, "the server did not answer in time")
	require.ErrorIs(t, err, eventlog.ErrUnavailable)
}

// TestLogWorksWithAPoolerInTransactionMode discards all prepared statements and settings of a connection after each use, as a
// pooler in transaction mode does.
func TestLogWorksWithAPoolerInTransactionMode(t *testing.T) {
	server := postgrestest.Shared(t)
	url := fresh(server)
	try := func(mode string) error {
		log, err := postgres.OpenPooled(context.Background(), url+mode, func(conn *pgx.Conn) bool {
			_, err := conn.Exec(context.Background(), `DISCARD ALL`, pgx.QueryExecModeSimpleProtocol)
			return err == nil
		})
		require.NoError(t, err)
		defer log.Close()
		for range 5 {
			head, err := log.Head(context.Background())
			if err != nil {
				return err
			}
			if _, err := log.Append(context.Background(), fmt.Sprint("a", head, mode), eventlog.NoStream,
				sample(1)); err != nil {
				return err
			}
			if _, err := eventlog.Verify(context.Background(), log, nil); err != nil {
				return err
			}
		}
		return nil
	}
	require.NoError(t, try(""))
	require.ErrorContains(t, try("&default_query_exec_mode=cache_statement"), "does not exist",
		"prepared statements were not discarded")
}
