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

// TestBackendUnderFaults checks the laws that need a server to be killed or to hang. Like those of TestBackend, its
// subtests are rows in the table of laws.
func TestBackendUnderFaults(t *testing.T) {
	t.Run("postgres", func(t *testing.T) {
		t.Run("an acknowledged event or item survives kill -9 of the database under load",
			func(t *testing.T) { testKill(t, time.Minute) })
		t.Run("repeating an append after its caller left in an outage determines its outcome",
			func(t *testing.T) { testKill(t, 30*time.Millisecond) })
		t.Run("repeating an append after a lost answer determines its outcome", testLostAnswer)
		t.Run("repeating a swap after a lost answer determines its outcome", testLostSwap)
		t.Run("a server that hangs delays no call beyond its context", testHangingServer)
		t.Run("a log reconnects after an outage of the database", testOutage)
		t.Run("a database that has another log than before is not read and not written", testOtherLog)
	})
}

// testKill has two servers write while the database is killed several times. With a timeout of one minute the log
// resolves every unknown outcome itself; with a shorter timeout the callers must.
func testKill(t *testing.T, timeout time.Duration) {
	server := postgrestest.Start(t, postgrestest.Config{})
	url := fresh(server)
	logs := []*postgres.Log{open(t, url), open(t, url)}
	for _, log := range logs {
		defer func() { require.NoError(t, log.Close()) }()
	}
	all := startLoad(16, timeout, logs[0], logs[1])
	const kills = 4
	for kill := range kills {
		all.wait(t, 300)
		require.NoError(t, server.Restart([]postgrestest.Mode{postgrestest.Immediate, postgrestest.Kill}[kill%2]))
	}
	all.wait(t, 300)
	all.finish(t, logs[0])
	lost := postgres.LostAnswers(logs[0]) + postgres.LostAnswers(logs[1])
	require.Positive(t, lost, "no answer was lost")
	t.Logf("%d acknowledged events, %d kills, %d answers lost, of which %d were in the log; "+
		"%d unknown outcomes and %d refusals returned to callers; 0 lost, 0 duplicates",
		all.acked.Load(), kills, lost, all.repeats.Load(), all.unknown.Load(), all.refused.Load())
}

// testOutage calls a database that is stopped, and one whose sessions an administrator has ended, and requires a
// temporary error.
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
			requireMessage(t, err, "log is unavailable")
			require.ErrorIs(t, err, eventlog.ErrUnavailable)
			err = firstError(log.ReadAll(ctx, 0, 0))
			requireMessage(t, err, "log is unavailable")
			require.ErrorIs(t, err, eventlog.ErrUnavailable)
		}
		brief, cancel := context.WithTimeout(ctx, 200*time.Millisecond)
		_, err := log.Append(brief, "a", eventlog.Revision(revision), sample(uint64(revision+2)))
		cancel()
		requireMessage(t, err)
		require.NoError(t, server.Start())
		eventually(t, func() bool {
			_, err := log.Append(ctx, "a", eventlog.Revision(revision), sample(uint64(revision+2)))
			return err == nil
		})
		require.NoError(t, firstError(log.ReadAll(ctx, 0, 0)))
	}
	conn := session(t, server)
	for range 5 {
		_, err := conn.Exec(ctx, `SELECT pg_terminate_backend(pid) FROM pg_stat_activity
			WHERE application_name = 'drover'`)
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

// testOtherLog changes the id of the log while it is open, as a restore or a changed host name would do.
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
	requireMessage(t, err, "the database now has another log")
	require.ErrorIs(t, err, eventlog.ErrForeign)
	require.NotErrorIs(t, err, eventlog.ErrUnknownOutcome)
	err = log.Put(ctx, eventlog.People, eventlog.Item{Key: "p-1", Sequence: 1})
	requireMessage(t, err, "the database now has another log")
	require.ErrorIs(t, err, eventlog.ErrForeign)
	require.ErrorIs(t, log.Drop(ctx, eventlog.People, "p-1"), eventlog.ErrForeign)

	server.Exec(t, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = '"+schema+"'")
	eventually(t, func() bool { _, err = log.Head(ctx); return errors.Is(err, eventlog.ErrForeign) })
	requireMessage(t, err, "the database now has another log")
	err = firstError(log.ReadAll(ctx, 0, 0))
	require.ErrorIs(t, err, eventlog.ErrForeign)
}
