package postgres_test

import (
	"context"
	"iter"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/droverhq/drover/eventlog"
	"github.com/droverhq/drover/eventlog/eventlogtest"
	"github.com/droverhq/drover/eventlog/memory"
	"github.com/droverhq/drover/eventlog/postgres/postgrestest"
)

// naiveLog is the obvious but wrong implementation: positions come from a bigserial. They are assigned when an event is
// inserted, and become visible when it is committed. It shows that the suite detects this mistake. It inherits all
// other methods from a log in memory.
type naiveLog struct {
	eventlog.Backend
	pool *pgxpool.Pool
}

func newNaiveLog(t testing.TB) *naiveLog {
	server := postgrestest.Shared(t)
	pool, err := pgxpool.New(context.Background(), server.URL("pool_max_conns=8"))
	require.NoError(t, err)
	_, err = pool.Exec(context.Background(), `DROP TABLE IF EXISTS naive;
		CREATE TABLE naive (position bigserial PRIMARY KEY, stream text, revision bigint, id uuid, UNIQUE (stream, revision))`)
	require.NoError(t, err)
	return &naiveLog{memory.New(), pool}
}

func (l *naiveLog) Append(ctx context.Context, stream string, expected eventlog.Revision,
	events ...eventlog.Event) (eventlog.Appended, error) {
	err := pgx.BeginFunc(ctx, l.pool, func(tx pgx.Tx) error {
		for i, event := range events {
			_, err := tx.Exec(ctx, `INSERT INTO naive (stream, revision, id) VALUES ($1, $2, $3)`, stream,
				int(expected)+1+i, event.ID.String())
			if err != nil {
				return err
			}
		}
		// Like most transactions, this one runs another statement between its insert and its commit.
		_, err := tx.Exec(ctx, `SELECT count(*) FROM naive`)
		return err
	})
	return eventlog.Appended{}, err
}

func (l *naiveLog) ReadAll(ctx context.Context, after eventlog.Position, _ int) iter.Seq2[eventlog.Recorded, error] {
	return func(yield func(eventlog.Recorded, error) bool) {
		rows, err := l.pool.Query(ctx, `SELECT position, id FROM naive WHERE position > $1 ORDER BY position`,
			int64(after))
		var found []eventlog.Recorded
		if err == nil {
			found, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (event eventlog.Recorded, err error) {
				return event, row.Scan(&event.Position, &event.ID)
			})
		}
		for _, event := range found {
			if !yield(event, nil) {
				return
			}
		}
		if err != nil {
			yield(eventlog.Recorded{}, err)
		}
	}
}

func (l *naiveLog) Close() error {
	l.pool.Close()
	return l.Backend.Close()
}

// TestSuiteDetectsPositionsFromBigserial is the negative control of the law on which the design of this backend is
// based.
func TestSuiteDetectsPositionsFromBigserial(t *testing.T) {
	const law = "once a reader has seen a position no event appears at or below it"
	broken := ""
	for attempt := 0; broken == "" && attempt < 20; attempt++ {
		broken = eventlogtest.NegativeControl(t, eventlogtest.Backend{
			Name: "naive",
			Open: func(t testing.TB) eventlog.Backend { return newNaiveLog(t) },
		}, law)
	}
	require.Contains(t, broken, "the law is broken")
	require.Contains(t, broken, "item(s), but has")

	server := postgrestest.Shared(t)
	failure := eventlogtest.NegativeControl(t, eventlogtest.Backend{
		Name: "postgres",
		Open: func(t testing.TB) eventlog.Backend { return open(t, fresh(server)) },
	}, law)
	require.Empty(t, failure)
}
