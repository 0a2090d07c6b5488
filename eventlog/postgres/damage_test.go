package postgres_test

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/droverhq/drover/eventlog"
	"github.com/droverhq/drover/eventlog/postgres/postgrestest"
)

// filled creates a closed log with ten events in each of two streams and returns its schema.
func filled(t *testing.T, server *postgrestest.Server) (schema string) {
	schema = server.Name()
	log := open(t, server.URL("schema="+schema))
	for i := range 10 {
		for j, stream := range []string{"machine/a", "machine/b"} {
			_, err := log.Append(context.Background(), stream, eventlog.Revision(i-1), sample(uint64(2*i+j)))
			require.NoError(t, err)
		}
	}
	require.NoError(t, log.Close())
	return schema
}

func TestDamagedEventIsReportedAfterTheEventsBeforeIt(t *testing.T) {
	server := postgrestest.Shared(t)
	const unlock = `ALTER TABLE events DISABLE TRIGGER ALL;`
	for name, c := range map[string]struct{ damage, text string }{
		"changed data": {`UPDATE events SET data = replace(data::text, '"n":10', '"n":11')::json WHERE position = 11`,
			"stream machine/a, revision 5, position 11"},
		"changed type": {`UPDATE events SET type = 'x' WHERE position = 11`,
			"stream machine/a, revision 5, position 11"},
		"changed id": {`UPDATE events SET id = gen_random_uuid() WHERE position = 11`,
			"stream machine/a, revision 5, position 11"},
		"changed stream": {`UPDATE events SET stream = 'machine/c' WHERE position = 11`,
			"stream machine/c, revision 5, position 11"},
		"changed revision": {`UPDATE events SET revision = 50 WHERE position = 11`,
			"stream machine/a, revision 50, position 11"},
		"missing event": {`DELETE FROM events WHERE position = 11`, "position 11 is missing"},
		"gap": {`UPDATE events SET position = position + 1 WHERE position = 20;
			DELETE FROM events WHERE position BETWEEN 11 AND 19`, "position 11 is missing"},
	} {
		t.Run(name, func(t *testing.T) {
			schema := filled(t, server)
			server.Exec(t, `SET search_path = `+schema+`;`+unlock+c.damage)
			log := open(t, server.URL("schema="+schema))
			defer log.Close()
			read := 0
			var damage error
			for _, err := range log.ReadAll(context.Background(), 0, 0) {
				if damage = err; err == nil {
					read++
				}
			}
			require.ErrorIs(t, damage, eventlog.ErrDamaged)
			requireMessage(t, damage, c.text, "restore a backup")
			require.Equal(t, 10, read)
			verified, err := eventlog.Verify(context.Background(), log, nil)
			require.ErrorIs(t, err, eventlog.ErrDamaged)
			require.Equal(t, eventlog.Verified{Events: 10, Streams: 2, Head: 10}, verified)
		})
	}
}

func TestMissingRevisionIsReported(t *testing.T) {
	server := postgrestest.Shared(t)
	schema := filled(t, server)
	server.Exec(t, `SET search_path = `+schema+`;
		ALTER TABLE events DISABLE TRIGGER ALL; DELETE FROM events WHERE stream = 'machine/a' AND revision = 3`)
	log := open(t, server.URL("schema="+schema))
	defer log.Close()
	var damage error
	for _, damage = range log.ReadStream(context.Background(), "machine/a", 0, 0) {
	}
	require.ErrorIs(t, damage, eventlog.ErrDamaged)
	require.ErrorContains(t, damage, "revision 3 of stream machine/a is missing")
}
