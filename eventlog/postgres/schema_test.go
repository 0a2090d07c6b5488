package postgres_test

import (
	"context"
	"iter"
	neturl "net/url"
	"strings"
	"sync"
	"testing"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/droverhq/drover/eventlog"
	"github.com/droverhq/drover/eventlog/postgres"
	"github.com/droverhq/drover/eventlog/postgres/postgrestest"
)

// session returns a connection of another program, as the superuser.
func session(t *testing.T, server *postgrestest.Server) *pgx.Conn {
	conn, err := pgx.Connect(context.Background(), server.URL())
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, conn.Close(context.Background())) })
	return conn
}

func TestTriggersKeepEventsAppendOnlyForOwner(t *testing.T) {
	ctx := context.Background()
	server := postgrestest.Shared(t)
	schema := server.Name()
	log := open(t, server.URL("schema="+schema))
	defer log.Close()
	_, err := log.Append(ctx, "a", eventlog.NoStream, sample(1), sample(2))
	require.NoError(t, err)
	conn := session(t, server)
	for operation, statement := range map[string]string{
		"UPDATE":   `UPDATE events SET data = '{}' WHERE position = 1`,
		"DELETE":   `DELETE FROM events`,
		"TRUNCATE": `TRUNCATE events`,
		"UPDATE ":  `INSERT INTO events SELECT * FROM events ON CONFLICT (position) DO UPDATE SET data = '{}'`,
	} {
		for _, role := range []string{"origin", "replica"} { // replica disables ordinary triggers
			_, err := conn.Exec(ctx, `SET search_path = `+schema+`; SET session_replication_role = `+role+`; `+statement)
			require.ErrorContains(t, err, "the log is append-only: "+operation)
		}
	}
	verified, err := eventlog.Verify(ctx, log, nil)
	require.NoError(t, err)
	require.Equal(t, 2, verified.Events)
}

func TestUserNeedsOnlySelectAndExecute(t *testing.T) {
	ctx := context.Background()
	server := postgrestest.Shared(t)
	schema, role := createLog(t, server), server.Name()
	server.Exec(t, `CREATE ROLE `+role+` LOGIN PASSWORD 's3cret';
		GRANT USAGE ON SCHEMA `+schema+` TO `+role+`;
		GRANT SELECT ON ALL TABLES IN SCHEMA `+schema+` TO `+role+`;
		GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA `+schema+` TO `+role)
	url := server.URLAs(role, "s3cret", postgrestest.Database, "schema="+schema)
	log := open(t, url)
	defer log.Close()
	_, err := log.Append(ctx, "a", eventlog.NoStream, sample(1))
	require.NoError(t, err)
	require.NoError(t, log.Put(ctx, eventlog.Leases, eventlog.Lease(uuid.New(), []byte("x"))))
	require.NoError(t, log.Drop(ctx, eventlog.Leases, uuid.NewString()))
	require.NoError(t, log.Add(ctx, eventlog.Output,
		eventlog.Item{Key: eventlog.OutputKey(uuid.New(), "m"), Sequence: 1, Data: []byte("x")}))
	_, err = log.Prune(ctx, eventlog.Output, sample(1).Time)
	require.NoError(t, err)
	_, err = log.Newest(ctx, eventlog.Leases)
	require.NoError(t, err)
	changeItems(t, log)
	_, err = eventlog.Verify(ctx, log, nil)
	require.NoError(t, err)

	_, err = postgres.Open(ctx, url, postgres.WithFormats(`CREATE TABLE {schema}.two ()`))
	requireMessage(t, err, "open the log once as its owner with this drover")
	requireNoKind(t, err)

	conn, err := pgx.Connect(ctx, url[:len(url)-len("&schema="+schema)])
	require.NoError(t, err)
	defer conn.Close(ctx)
	for _, statement := range []string{
		`INSERT INTO events SELECT 7, 'z', 0, id, type, time, command, causes, data, checksum FROM events`,
		`UPDATE events SET type = 'x'`, `DELETE FROM events`, `TRUNCATE events`, `DELETE FROM leases`, `DELETE FROM items`,
		`UPDATE items SET sequence = 9`, `UPDATE info SET format = 0`,
		`LOCK TABLE turn IN EXCLUSIVE MODE`, `ALTER TABLE events DISABLE TRIGGER ALL`, `DROP TABLE events`,
	} {
		_, err := conn.Exec(ctx, `SET search_path = `+schema+`; `+statement)
		require.Error(t, err, statement)
		require.Regexp(t, "permission denied|must be owner", err.Error(), statement)
	}
}

// changeItems uses every operation of the durable collections.
func changeItems(t *testing.T, log *postgres.Log) {
	t.Helper()
	ctx := context.Background()
	require.NoError(t, log.Put(ctx, eventlog.Cursors, eventlog.Item{Key: "k", Sequence: 1}))
	require.NoError(t, log.Swap(ctx, eventlog.Cursors, eventlog.Item{Key: "k", Sequence: 2}, 1))
	found, err := log.Newest(ctx, eventlog.Cursors)
	require.NoError(t, err)
	require.EqualValues(t, 2, found["k"].Sequence)
	require.NoError(t, log.Drop(ctx, eventlog.Cursors, "k"))
}

// createOldLog creates a log of the version before the durable collections, and a role with few permissions on it.
func createOldLog(t *testing.T, server *postgrestest.Server, schema string) (role, url string) {
	role = server.Name()
	quoted := pgx.Identifier{schema}.Sanitize()
	server.Exec(t, `CREATE SCHEMA `+quoted+`; `+postgres.FormatOne(schema)+`;
		INSERT INTO `+quoted+`.info (log_id, format) VALUES (gen_random_uuid(), 1);
		CREATE ROLE `+role+` LOGIN PASSWORD 's3cret';
		GRANT USAGE ON SCHEMA `+quoted+` TO `+role+`;
		GRANT SELECT ON ALL TABLES IN SCHEMA `+quoted+` TO `+role+`;
		GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA `+quoted+` TO `+role)
	return role, server.URLAs(role, "s3cret", postgrestest.Database, "schema="+neturl.QueryEscape(schema))
}

func TestOpenAddsItemsTableAndPermissionsToOlderLog(t *testing.T) {
	ctx := context.Background()
	server := postgrestest.Shared(t)
	for _, schema := range []string{server.Name(), `Odd" %s' name` + server.Name()} {
		_, url := createOldLog(t, server, schema)
		err := openError(t, url)
		requireMessage(t, err, "cannot add a table to the schema", "open the log once as its owner with this drover")
		requireNoKind(t, err)

		opened := make([]*postgres.Log, 4)
		var opening sync.WaitGroup
		for i := range opened {
			opening.Go(func() {
				var err error
				if opened[i], err = postgres.Open(ctx, server.URL("schema="+neturl.QueryEscape(schema)),
					postgres.Config{}); err != nil {
					t.Error(err)
				}
			})
		}
		opening.Wait()
		for _, log := range opened {
			require.NoError(t, log.Close())
		}
		log := open(t, url)
		changeItems(t, log)
		require.NoError(t, log.Close())
		var format int
		require.NoError(t, session(t, server).QueryRow(ctx,
			`SELECT format FROM `+pgx.Identifier{schema}.Sanitize()+`.info`).Scan(&format))
		require.Equal(t, 1, format, "servers of the previous version would refuse the log")
	}
}

func TestLeasesAndOutputKeepLayoutOfPreviousVersion(t *testing.T) {
	ctx := context.Background()
	server := postgrestest.Shared(t)
	schema := server.Name()
	createOldLog(t, server, schema)
	log := open(t, server.URL("schema="+schema))
	defer log.Close()
	one, before, deployment := uuid.New(), uuid.New(), uuid.New()
	require.NoError(t, log.Put(ctx, eventlog.Leases, eventlog.Lease(one, []byte("new"))))
	chunk := eventlog.Item{Key: eventlog.OutputKey(deployment, "a/b"), Sequence: 1, Time: sample(1).Time,
		Data: []byte("line")}
	require.NoError(t, log.Add(ctx, eventlog.Output, chunk))

	old := session(t, server) // uses the statements of the previous version
	var data []byte
	require.NoError(t, old.QueryRow(ctx, `SELECT value FROM `+schema+`.leases WHERE server = $1`,
		one.String()).Scan(&data))
	require.Equal(t, "new", string(data))
	require.NoError(t, old.QueryRow(ctx, `SELECT data FROM `+schema+`.output WHERE deployment = $1
		AND machine = 'a/b' AND sequence > 0`, deployment.String()).Scan(&data))
	require.Equal(t, "line", string(data))
	for _, statement := range []string{
		`SELECT ` + schema + `.put_lease('` + before.String() + `', 'old')`,
		`SELECT ` + schema + `.put_output('` + deployment.String() + `', 'a/b', 2, '2027-01-15 08:00:00+00', 'old')`,
	} {
		_, err := old.Exec(ctx, statement)
		require.NoError(t, err)
	}
	leases, err := eventlog.ReadLeases(ctx, log)
	require.NoError(t, err)
	require.Equal(t, map[uuid.UUID][]byte{one: []byte("new"), before: []byte("old")}, leases)
	var all []string
	for item, err := range log.Items(ctx, eventlog.Output, chunk.Key, 0, 0) {
		require.NoError(t, err)
		all = append(all, string(item.Data))
	}
	require.Equal(t, []string{"line", "old"}, all)
}

func TestConcurrentOpensCreateOneLog(t *testing.T) {
	url := fresh(postgrestest.Shared(t))
	ids := make([]uuid.UUID, 8)
	failures := make([]error, len(ids))
	var opening sync.WaitGroup
	for i := range ids {
		opening.Go(func() {
			log, err := postgres.Open(context.Background(), url, postgres.Config{})
			if failures[i] = err; err != nil {
				return
			}
			ids[i], _ = log.ID(context.Background())
			failures[i] = log.Close()
		})
	}
	opening.Wait()
	for i, id := range ids {
		require.NoError(t, failures[i])
		require.Equal(t, ids[0], id)
	}
}

func TestConcurrentMigrationsRunOnce(t *testing.T) {
	ctx := context.Background()
	server := postgrestest.Shared(t)
	schema := server.Name()
	url := server.URL("schema=" + schema)
	old := open(t, url)
	defer old.Close()
	_, err := old.Append(ctx, "a", eventlog.NoStream, sample(1))
	require.NoError(t, err)
	newer := postgres.WithFormats(`CREATE TABLE {schema}.two ()`, `CREATE TABLE {schema}.three ()`)
	failures := make([]error, 8)
	var opening sync.WaitGroup
	for i := range failures {
		opening.Go(func() {
			log, err := postgres.Open(ctx, url, newer)
			if failures[i] = err; err == nil {
				failures[i] = log.Close()
			}
		})
	}
	opening.Wait()
	for _, err := range failures {
		require.NoError(t, err)
	}
	var format int
	require.NoError(t, session(t, server).QueryRow(ctx, `SELECT format FROM `+schema+`.info`).Scan(&format))
	require.Equal(t, 3, format)
	requireMessage(t, openError(t, url), "unsupported log format 3 (this drover supports formats up to 1)")
	verified, err := eventlog.Verify(ctx, openWith(t, url, newer), nil)
	require.NoError(t, err)
	require.Equal(t, 1, verified.Events)
}

// TestOlderServerNeitherReadsNorAppendsAfterMigration appends with an open log of this version while a newer version
// migrates the schema. The migration records the last position, and no event follows it.
func TestOlderServerNeitherReadsNorAppendsAfterMigration(t *testing.T) {
	ctx := context.Background()
	server := postgrestest.Shared(t)
	schema := server.Name()
	url := server.URL("schema=" + schema)
	old := openWith(t, url, postgres.Config{})
	started, ended := make(chan struct{}), make(chan error)
	go func() {
		var err error
		at := eventlog.NoStream
		for err == nil {
			var appended eventlog.Appended
			if appended, err = old.Append(ctx, "a", at, sample(uint64(at+2))); err != nil {
				break
			}
			if at = appended.Revision; at == 50 {
				close(started)
			}
		}
		ended <- err
	}()
	<-started
	newer := openWith(t, url, postgres.WithFormats(
		`CREATE TABLE {schema}.migrated AS SELECT coalesce(max(position), 0) AS last FROM {schema}.events; SELECT pg_sleep(0.3)`))
	refused := <-ended
	require.ErrorIs(t, refused, eventlog.ErrForeign)
	require.NotErrorIs(t, refused, eventlog.ErrUnknownOutcome)
	requireMessage(t, refused, "a newer drover has migrated the log", "upgrade this server")
	for _, read := range []iter.Seq2[eventlog.Recorded, error]{old.ReadAll(ctx, 0, 0), old.ReadStream(ctx, "a", 0, 0)} {
		require.ErrorIs(t, firstError(read), eventlog.ErrForeign)
	}
	var last eventlog.Position
	require.NoError(t, session(t, server).QueryRow(ctx, `SELECT last FROM `+schema+`.migrated`).Scan(&last))
	head, err := newer.Head(ctx)
	require.NoError(t, err)
	require.Equal(t, last, head, "nothing was appended after the migration")
	_, err = newer.Append(ctx, "b", eventlog.NoStream, sample(1))
	require.NoError(t, err)
}

// openWith opens a log that the test closes.
func openWith(t *testing.T, url string, config postgres.Config) *postgres.Log {
	t.Helper()
	log, err := postgres.Open(context.Background(), url, config)
	require.NoError(t, err)
	t.Cleanup(func() { _ = log.Close() })
	return log
}

func TestFailedMigrationChangesNothing(t *testing.T) {
	ctx := context.Background()
	server := postgrestest.Shared(t)
	schema := createLog(t, server)
	_, err := postgres.Open(ctx, server.URL("schema="+schema),
		postgres.WithFormats(`CREATE TABLE {schema}.two (); SELECT 1/0`))
	requireMessage(t, err, "division by zero")
	open(t, server.URL("schema="+schema)).Close()
	var tables int
	require.NoError(t, session(t, server).QueryRow(ctx,
		`SELECT count(*) FROM pg_tables WHERE schemaname = $1 AND tablename = 'two'`, schema).Scan(&tables))
	require.Zero(t, tables)
}

func TestOneDatabaseCanHaveSeveralLogs(t *testing.T) {
	ctx := context.Background()
	server := postgrestest.Shared(t)
	odd := open(t, server.URL("schema="+"Odd%22%20name"+server.Name()))
	defer odd.Close()
	other := open(t, fresh(server))
	defer other.Close()
	_, err := odd.Append(ctx, "a", eventlog.NoStream, sample(1))
	require.NoError(t, err)
	head, err := other.Head(ctx)
	require.NoError(t, err)
	require.Zero(t, head)
}

func TestLogIsCreatedInExistingEmptySchema(t *testing.T) {
	server := postgrestest.Shared(t)
	schema, role := server.Name(), server.Name()
	server.Exec(t, `CREATE ROLE `+role+` LOGIN PASSWORD 's3cret'; CREATE SCHEMA `+schema+` AUTHORIZATION `+role)
	log := open(t, server.URLAs(role, "s3cret", postgrestest.Database, "schema="+schema))
	defer log.Close()
	_, err := log.Append(context.Background(), "a", eventlog.NoStream, sample(1))
	require.NoError(t, err)
}

// TestAppendIsDurableInEverySession calls the function in sessions whose commits do not wait for the disk.
func TestAppendIsDurableInEverySession(t *testing.T) {
	ctx := context.Background()
	server := postgrestest.Shared(t)
	schema := server.Name()
	log := open(t, server.URL("schema="+schema))
	defer log.Close()
	id, err := log.ID(ctx)
	require.NoError(t, err)
	emptyAppend := `SELECT * FROM ` + schema + `.append('` + id.String() + `'` + strings.Repeat(`, '{}'`, 12) + `)`
	for set, want := range map[string]string{"off": "on", "local": "on", "remote_write": "on", "on": "on",
		"remote_apply": "remote_apply"} {
		conn := session(t, server)
		tx, err := conn.Begin(ctx)
		require.NoError(t, err)
		_, err = tx.Exec(ctx, `SET synchronous_commit = `+set)
		require.NoError(t, err)
		_, err = tx.Exec(ctx, emptyAppend)
		require.NoError(t, err)
		var got string
		require.NoError(t, tx.QueryRow(ctx, `SHOW synchronous_commit`).Scan(&got))
		require.Equal(t, want, got)
		require.NoError(t, tx.Rollback(ctx))
	}
	for set, want := range map[string]string{"off": "on", "remote_apply": "remote_apply"} {
		tx, err := session(t, server).Begin(ctx)
		require.NoError(t, err)
		_, err = tx.Exec(ctx, `SET synchronous_commit = `+set+`;
			SELECT `+schema+`.put_item('`+id.String()+`', 'people', 'p-1', NULL, 1, now(), 'x')`)
		require.NoError(t, err)
		var got string
		require.NoError(t, tx.QueryRow(ctx, `SHOW synchronous_commit`).Scan(&got))
		require.Equal(t, want, got)
		require.NoError(t, tx.Rollback(ctx))
	}
	conn := session(t, server)
	_, err = conn.Exec(ctx, `SET default_transaction_isolation = 'repeatable read'`)
	require.NoError(t, err)
	_, err = conn.Exec(ctx, emptyAppend)
	require.ErrorContains(t, err, "appends need the isolation level read committed")
}
