package postgres_test

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/droverhq/drover/eventlog"
	"github.com/droverhq/drover/eventlog/postgres/postgrestest"
)

// appendMany appends n events to stream a, whose last revision is revision.
func appendMany(t *testing.T, log eventlog.Log, revision eventlog.Revision, n int) eventlog.Revision {
	events := make([]eventlog.Event, n)
	for i := range events {
		events[i] = sample(uint64(int(revision) + 2 + i))
	}
	appended, err := log.Append(context.Background(), "a", revision, events...)
	require.NoError(t, err)
	return appended.Revision
}

func TestReadEndsEvenIfItsConsumerAppends(t *testing.T) {
	log := open(t, fresh(postgrestest.Shared(t)))
	defer log.Close()
	revision := eventlog.NoStream
	for range 6 {
		revision = appendMany(t, log, revision, 500)
	}
	read := 0
	for _, err := range log.ReadAll(context.Background(), 0, 0) {
		require.NoError(t, err)
		if read++; read%100 == 0 {
			revision = appendMany(t, log, revision, 100)
		}
		require.Less(t, read, 6000, "the read follows its own appends")
	}
	require.GreaterOrEqual(t, read, 3000)
}
