package postgres_test

import (
	"context"
	"errors"
	"iter"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/droverhq/drover/eventlog"
	"github.com/droverhq/drover/eventlog/postgres"
	"github.com/droverhq/drover/eventlog/postgres/postgrestest"
)

// TestBackendOnBadDays proves the laws that need a server to die or to hang. Its subtests
// are rows of the table of laws, as those of TestBackend are.
func TestBackendOnBadDays(t *testing.T) {
	t.Run("postgres", func(t *testing.T) {
		t.Run("an acknowledged event or item survives kill -9 of the database under load", func(t *testing.T) { testKill(t, time.Minute) })
		t.Run("an append whose caller left in an outage is settled by appending it again", func(t *testing.T) { testKill(t, 30*time.Millisecond) })
		t.Run("an append whose answer was lost is settled by appending it again", testLostAnswer)
		t.Run("a swap whose answer was lost is settled by swapping again", testLostSwap)
		t.Run("a server that hangs holds no call beyond its context", testHangingServer)
		t.Run("a database that was away is found again by itself", testOutage)
		t.Run("a database that holds another log than it did is neither read nor written", testOtherLog)
	})
}

// testKill lets two servers write while the database is killed again and again. With the
// patience of a minute the log settles every doubt itself; with less the callers do.
func testKill(t *testing.T, patience time.Duration) {
	server := postgrestest.Start(t, postgrestest.Config{})
	url := fresh(server)
	logs := []*postgres.Log{open(t, url), open(t, url)}
	for _, log := range logs {
		defer func() { require.NoError(t, log.Close()) }()
	}
	all := begin(16, patience, logs[0], logs[1])
	const kills = 4
	for kill := range kills {
		all.reach(t, 300)
		require.NoError(t, server.Restart([]postgrestest.Mode{postgrestest.Immediate, postgrestest.Kill}[kill%2]))
	}
	all.reach(t, 300)
	all.end(t, logs[0])
	doubted := postgres.Doubted(logs[0]) + postgres.Doubted(logs[1])
	require.Positive(t, doubted, "no answer was lost")
	t.Logf("%d acknowledged events, %d kills, %d answers lost, of which %d were in the log; %d unknown outcomes and %d refusals told to callers; 0 lost, 0 twice",
		all.acked.Load(), kills, doubted, all.repeats.Load(), all.unknown.Load(), all.refused.Load())
}

// testOutage asks of a database that is away, and of one whose sessions an administrator
// has ended, and expects a refusal that time heals.
func testOutage(t *testing.T) {
	ctx := context.Background()
	server := postgrestest.Start(t, postgrestest.Config{Unsafe: true})
	log := open(t, server.URL())
	defer log.Close()
	_, err := log.Append(ctx, "a", eventlog.NoStream, sample(1))
	require.NoError(t, err)
	for revision, mode := range []postgrestest.Mode{postgrestest.Fast, postgrestest.Immediate} {
		require.NoError(t, server.Stop(mode))
		for range 3 {
			_, err := log.Head(ctx)
			sentence(t, err, "log is unavailable")
			require.ErrorIs(t, err, eventlog.ErrUnavailable)
			err = firstError(log.ReadAll(ctx, 0, 0))
			sentence(t, err, "log is unavailable")
			require.ErrorIs(t, err, eventlog.ErrUnavailable)
		}
		brief, cancel := context.WithTimeout(ctx, 200*time.Millisecond)
		_, err := log.Append(brief, "a", eventlog.Revision(revision), sample(uint64(revision+2)))
		cancel()
		sentence(t, err)
		require.NoError(t, server.Start())
		eventually(t, func() bool {
			_, err := log.Append(ctx, "a", eventlog.Revision(revision), sample(uint64(revision+2)))
			return err == nil
		})
		require.NoError(t, firstError(log.ReadAll(ctx, 0, 0)))
	}
	conn := session(t, server)
	for range 5 {
		_, err := conn.Exec(ctx, `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'drover'`)
		require.NoError(t, err)
		eventually(t, func() bool { _, err := log.Head(ctx); return err == nil })
	}
	verified, err := eventlog.Verify(ctx, log, nil)
	require.NoError(t, err)
	require.Equal(t, 3, verified.Events)
}

func firstError(read iter.Seq2[eventlog.Recorded, error]) error {
	for _, err := range read {
		if err != nil {
			return err
		}
	}
	return nil
}

// testOtherLog gives the log another id while it is open, as it has after a restore or
// where the name of its host leads elsewhere.
func testOtherLog(t *testing.T) {
	ctx := context.Background()
	server := postgrestest.Shared(t)
	schema := server.Name()
	log := open(t, server.URL("application_name="+schema, "schema="+schema))
	defer log.Close()
	_, err := log.Append(ctx, "a", eventlog.NoStream, sample(1))
	require.NoError(t, err)
	server.Exec(t, "UPDATE "+schema+".info SET log_id = gen_random_uuid()")
	_, err = log.Append(ctx, "a", 0, sample(2))
	sentence(t, err, "another log stands where this one stood")
	require.ErrorIs(t, err, eventlog.ErrForeign)
	require.NotErrorIs(t, err, eventlog.ErrUnknownOutcome)
	err = log.Put(ctx, eventlog.People, eventlog.Item{Key: "p-1", Sequence: 1})
	sentence(t, err, "another log stands where this one stood")
	require.ErrorIs(t, err, eventlog.ErrForeign)
	require.ErrorIs(t, log.Drop(ctx, eventlog.People, "p-1"), eventlog.ErrForeign)

	server.Exec(t, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = '"+schema+"'")
	eventually(t, func() bool { _, err = log.Head(ctx); return errors.Is(err, eventlog.ErrForeign) })
	sentence(t, err, "another log stands where this one stood")
	err = firstError(log.ReadAll(ctx, 0, 0))
	require.ErrorIs(t, err, eventlog.ErrForeign)
}
