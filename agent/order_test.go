package agent_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/droverhq/drover/api/client"
	"github.com/droverhq/drover/internal/clock"
)

// countdown is a clock whose wall clock moves an hour into the past with each reading.
type countdown struct {
	clock.System
	readings chan time.Time
}

func newCountdown() countdown {
	c := countdown{System: clock.New(), readings: make(chan time.Time, 1)}
	c.readings <- time.Now()
	return c
}

func (c countdown) Now() time.Time {
	now := <-c.readings
	c.readings <- now.Add(-time.Hour)
	return now
}

func TestRestartedAgentReportsResultsInTheOrderOfTheRuns(t *testing.T) {
	server := newServer(t)
	config := configuration(t, server)
	config.Clock = newCountdown()
	first := startAgent(t, config)
	c := server.welcome(t)
	for _, deployment := range []string{"d-1", "d-2", "d-3"} {
		c.offerAndConfirmClaim(t, work(deployment, "true"))
		expect(t, c, func(m client.FromAgent) *client.End {
			if m.End == nil || m.End.Deployment != deployment {
				return nil
			}
			return m.End
		})
	}
	close(first.stopNow)
	require.NoError(t, first.wait(t))

	startAgent(t, config)
	c = server.welcome(t)
	for _, deployment := range []string{"d-1", "d-2", "d-3"} {
		require.Equal(t, deployment, expect(t, c, anEnd).Deployment, "the wall clock was set back between the runs")
	}
}
