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

// eventually waits for what another goroutine does.
func eventually(t *testing.T, condition func() bool) {
	t.Helper()
	require.Eventually(t, condition, 30*time.Second, time.Millisecond)
}

// held opens a log whose lock another program holds, and returns what lets it go.
func held(t *testing.T) (log *postgres.Log, release func()) {
	server := postgrestest.Shared(t)
	schema := server.Name()
	log = open(t, server.URL("schema="+schema))
	t.Cleanup(func() { require.NoError(t, log.Close()) })
	return log, lock(t, server, "LOCK TABLE "+schema+".turn IN EXCLUSIVE MODE")
}

// lock holds a lock until what it returns is called.
func lock(t *testing.T, server *postgrestest.Server, statement string) (release func()) {
	tx, err := session(t, server).Begin(context.Background())
	require.NoError(t, err)
	_, err = tx.Exec(context.Background(), statement)
	require.NoError(t, err)
	return func() { require.NoError(t, tx.Rollback(context.Background())) }
}

// later appends in a goroutine of its own.
func later(ctx context.Context, log eventlog.Log, stream string, expected eventlog.Revision, n uint64) <-chan error {
	done := make(chan error, 1)
	go func() {
		_, err := log.Append(ctx, stream, expected, sample(n))
		done <- err
	}()
	return done
}

func TestACallerWhoLeavesLearnsWhetherItsAppendMayStillHappen(t *testing.T) {
	log, release := held(t)
	patient := context.Background()
	leaving, leave := context.WithCancel(patient)
	taken := later(leaving, log, "taken", eventlog.NoStream, 1)
	eventually(t, func() bool { return postgres.Taken(log) == 1 })
	queued := later(leaving, log, "queued", eventlog.NoStream, 2)
	stays := later(patient, log, "stays", eventlog.NoStream, 3)
	eventually(t, func() bool { return postgres.Waiting(log) == 2 })
	leave()

	err := <-taken
	require.ErrorIs(t, err, eventlog.ErrUnknownOutcome)
	require.ErrorIs(t, err, context.Canceled)
	err = <-queued
	require.ErrorIs(t, err, context.Canceled)
	require.NotErrorIs(t, err, eventlog.ErrUnknownOutcome)

	release()
	require.NoError(t, <-stays)
	var streams []string
	for event, err := range log.ReadAll(patient, 0, 0) {
		require.NoError(t, err)
		streams = append(streams, event.Stream)
	}
	require.Equal(t, []string{"taken", "stays"}, streams)
	appended, err := log.Append(patient, "taken", eventlog.NoStream, sample(1))
	require.NoError(t, err)
	require.True(t, appended.Repeat)
}

func TestEachAppendOfABatchSucceedsOrIsRefusedOnItsOwn(t *testing.T) {
	log, release := held(t)
	ctx := context.Background()
	first := later(ctx, log, "a", eventlog.NoStream, 1)
	eventually(t, func() bool { return postgres.Taken(log) == 1 })
	const racers = 20
	var waiting []<-chan error
	for i := range uint64(racers) {
		waiting = append(waiting, later(ctx, log, "race", eventlog.NoStream, 100+i), later(ctx, log, fmt.Sprint("own/", i), eventlog.NoStream, 200+i))
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
		var refused *eventlog.Conflict
		require.ErrorAs(t, err, &refused)
		require.Equal(t, eventlog.Conflict{Stream: "race", Expected: eventlog.NoStream, Actual: 0}, *refused)
	}
	require.Equal(t, 1, won)
	require.LessOrEqual(t, postgres.Batches(log)-batches, int64(2), "one round trip, and one for those that lost the race")
	verified, err := eventlog.Verify(ctx, log, nil)
	require.NoError(t, err)
	require.Equal(t, racers+2, verified.Events)
}

func TestAClosedLogRefusesWhatStillWaited(t *testing.T) {
	log, release := held(t)
	ctx := context.Background()
	taken := later(ctx, log, "taken", eventlog.NoStream, 1)
	eventually(t, func() bool { return postgres.Taken(log) == 1 })
	queued := later(ctx, log, "queued", eventlog.NoStream, 2)
	eventually(t, func() bool { return postgres.Waiting(log) == 1 })
	closed := make(chan error, 1)
	go func() { closed <- log.Close() }()
	eventually(t, func() bool { _, err := log.ID(ctx); return err != nil })
	release()
	require.NoError(t, <-closed)
	require.NoError(t, <-taken)
	require.ErrorIs(t, <-queued, eventlog.ErrClosed)
}

func TestALockThatIsHeldForLongRefusesTheAppendAndSaysSo(t *testing.T) {
	log, release := held(t)
	_, err := log.Append(context.Background(), "a", eventlog.NoStream, sample(1))
	sentence(t, err, "another session held the log's lock for 5 s")
	require.ErrorIs(t, err, eventlog.ErrUnavailable)
	require.NotErrorIs(t, err, eventlog.ErrUnknownOutcome)
	release()
	appended, err := log.Append(context.Background(), "a", eventlog.NoStream, sample(1))
	require.NoError(t, err)
	require.False(t, appended.Repeat, "the refused append is in the log")
}

// through opens a log by way of a proxy to server.
func through(t *testing.T, server *postgrestest.Server, config postgres.Config) (*proxy, *postgres.Log) {
	between := newProxy(t, server.Address())
	log, err := postgres.Open(context.Background(), strings.Replace(fresh(server), server.Address(), between.address(), 1), config)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, log.Close()) })
	return between, log
}

func testLostAnswer(t *testing.T) {
	server := postgrestest.Shared(t)
	between, log := through(t, server, postgres.Config{})
	ctx := context.Background()
	for i := range 5 {
		_, err := log.Append(ctx, "warm", eventlog.Revision(i-1), sample(uint64(i)))
		require.NoError(t, err)
	}
	between.losing.Store(true)
	before := between.swallowed.Load()
	answer := make(chan eventlog.Appended, 1)
	go func() {
		appended, err := log.Append(ctx, "a", eventlog.NoStream, sample(9))
		if err != nil {
			t.Error(err)
		}
		answer <- appended
	}()
	eventually(t, func() bool { return between.swallowed.Load() > before }) // the commit was answered
	between.losing.Store(false)
	between.cut()
	appended := <-answer
	require.True(t, appended.Repeat, "the second try found what the first had written")
	require.Equal(t, eventlog.Position(6), appended.Position)
	require.EqualValues(t, 1, postgres.Doubted(log))
	verified, err := eventlog.Verify(ctx, log, nil)
	require.NoError(t, err)
	require.Equal(t, 6, verified.Events)
}

func testLostSwap(t *testing.T) {
	server := postgrestest.Shared(t)
	between, log := through(t, server, postgres.Config{})
	ctx := context.Background()
	require.NoError(t, log.Put(ctx, eventlog.Cursors, eventlog.Item{Key: "k", Sequence: 1}))
	between.losing.Store(true)
	before := between.swallowed.Load()
	next := eventlog.Item{Key: "k", Sequence: 2, Time: sample(1).Time, Data: []byte("mine")}
	answer := make(chan error, 1)
	go func() { answer <- log.Swap(ctx, eventlog.Cursors, next, 1) }()
	eventually(t, func() bool { return between.swallowed.Load() > before }) // the commit was answered
	between.losing.Store(false)
	between.cut()
	err := <-answer
	sentence(t, err, "outcome of the write is unknown")
	require.ErrorIs(t, err, eventlog.ErrUnknownOutcome)
	other := next
	other.Data = []byte("another's")
	var moved *eventlog.SwapConflict
	require.ErrorAs(t, log.Swap(ctx, eventlog.Cursors, other, 1), &moved)
	require.EqualValues(t, 2, moved.Sequence, "it was done")
	require.NoError(t, log.Swap(ctx, eventlog.Cursors, next, 1))
}

func testHangingServer(t *testing.T) {
	server := postgrestest.Shared(t)
	between, log := through(t, server, postgres.Config{})
	_, err := log.Append(context.Background(), "a", eventlog.NoStream, sample(1))
	require.NoError(t, err)
	between.losing.Store(true)
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
			t.Fatal("a call outlived its context by seconds")
		}
	}
	between.losing.Store(false)
	between.cut()
	eventually(t, func() bool {
		_, err := log.Append(context.Background(), "c", eventlog.NoStream, sample(3))
		return err == nil
	})
}

func TestAServerThatHangsIsUnavailableToCallersWhoWouldWaitForEver(t *testing.T) {
	server := postgrestest.Shared(t)
	between, log := through(t, server, postgres.Config{Timeout: 300 * time.Millisecond, Patience: time.Second})
	_, err := log.Append(context.Background(), "a", eventlog.NoStream, sample(1))
	require.NoError(t, err)
	between.losing.Store(true)
	_, err = log.Head(context.Background())
	sentence(t, err, "the server does not answer in time")
	require.ErrorIs(t, err, eventlog.ErrUnavailable)
	_, err = log.Append(context.Background(), "a", 0, sample(2))
	sentence(t, err, "outcome of the write is unknown", "the server does not answer in time")
	require.ErrorIs(t, err, eventlog.ErrUnknownOutcome)
	_, err = log.Append(context.Background(), "b", eventlog.NoStream, sample(3))
	sentence(t, err, "the server does not answer in time")
	require.NotErrorIs(t, err, eventlog.ErrUnknownOutcome, "there was no connection to send it by")
	_, err = postgres.Open(context.Background(), strings.Replace(server.URL(), server.Address(), between.address(), 1), postgres.Config{Timeout: 100 * time.Millisecond})
	sentence(t, err, "the server does not answer in time")
	require.ErrorIs(t, err, eventlog.ErrUnavailable)
}

// TestNothingOfASessionIsReliedOn takes away from every connection, each time it was used,
// what a pooler in transaction mode takes away: all that was prepared or set in it.
func TestNothingOfASessionIsReliedOn(t *testing.T) {
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
			if _, err := log.Append(context.Background(), fmt.Sprint("a", head, mode), eventlog.NoStream, sample(1)); err != nil {
				return err
			}
			if _, err := eventlog.Verify(context.Background(), log, nil); err != nil {
				return err
			}
		}
		return nil
	}
	require.NoError(t, try(""))
	require.ErrorContains(t, try("&default_query_exec_mode=cache_statement"), "does not exist", "prepared statements were not taken away")
}
