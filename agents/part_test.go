package agents

import (
	"context"
	"iter"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/droverhq/drover/api/client"
	"github.com/droverhq/drover/domain"
	"github.com/droverhq/drover/eventlog"
	"github.com/droverhq/drover/eventlog/memory"
)

// counting is a log that counts reads of part streams.
type counting struct {
	eventlog.Backend
	reads int
}

func (c *counting) ReadStream(ctx context.Context, stream string, from eventlog.Revision,
	limit int) iter.Seq2[eventlog.Recorded, error] {
	if strings.HasPrefix(stream, domain.PartStreams+"/") {
		c.reads++
	}
	return c.Backend.ReadStream(ctx, stream, from, limit)
}

func TestEndReturnsItsEventWithoutReadingThePartAgain(t *testing.T) {
	log := &counting{Backend: memory.New()}
	f := newFixture(t, log)
	agent, session := f.machine("box-01")
	f.do(domain.Deploy{Project: "shop", Release: "1.0", Environment: "production", Machines: []string{"box-01"}})
	work, _, err := f.Work(t.Context(), agent, "box-01")
	require.NoError(t, err)
	part := PartInput{Deployment: work.Deployment, Machine: "box-01", Session: session}
	claimed, err := f.Claim(t.Context(), agent, domain.ID{}, part)
	require.NoError(t, err)
	require.True(t, claimed.Counts)

	first, err := f.End(t.Context(), agent, part, client.End{State: domain.PartSucceeded})
	require.NoError(t, err)
	require.Zero(t, log.reads)
	id, err := domain.ParseID(work.Deployment)
	require.NoError(t, err)
	recorded, err := f.recordedEnd(t.Context(), domain.PartStream(id, "box-01"))
	require.NoError(t, err)
	require.Equal(t, recorded.String(), first.Event)

	log.reads = 0
	second, err := f.End(t.Context(), agent, part, client.End{State: domain.PartFailed})
	require.NoError(t, err)
	require.Equal(t, first, second, "an end that is reported twice is recorded once")
	require.Equal(t, 1, log.reads)
}
