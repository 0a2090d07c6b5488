package projections_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/droverhq/drover/domain"
)

func TestHealthFlapsFromFiveChangesInTenMinutesOn(t *testing.T) {
	b := newFleet(t, 1)
	name := "web-00"
	flip := func(times int, apart time.Duration) {
		for n := range times {
			b.Wait(apart)
			b.Add("machine/"+name, domain.MachineHealthChanged{Status: []domain.Health{domain.Healthy, domain.Unhealthy}[n%2]})
		}
	}
	flaps := func() int {
		times, _ := b.Flaps(b.Machines[name])
		return times
	}
	flip(4, time.Minute)
	require.Zero(t, flaps())
	flip(1, time.Minute)
	require.Equal(t, 5, flaps())
	b.consistent(t)
	b.Wait(11 * time.Minute)
	b.Add("environment/other", domain.EnvironmentDefined{})
	require.Zero(t, flaps(), "the health is stable again")
	flip(12, 3*time.Minute)
	require.Zero(t, flaps(), "changes that are far apart")
	flip(50, time.Second)
	require.Equal(t, 20, flaps(), "a bounded number is retained")
	b.consistent(t)
}
