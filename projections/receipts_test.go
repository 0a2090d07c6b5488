package projections_test

import (
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/droverhq/drover/domain"
	"github.com/droverhq/drover/eventlog"
	"github.com/droverhq/drover/projections"
	"github.com/droverhq/drover/projections/projectionstest"
)

// commands is a view whose events have commands and times.
type commands struct {
	*projections.View
	t    *testing.T
	time time.Time
}

func newCommands(t *testing.T) *commands {
	c := &commands{projections.New(), t, projectionstest.Start}
	c.pass(0) // the time of the first event does not count
	return c
}

// add appends an event of a command at the current time.
func (c *commands) add(command domain.ID, stream string, e domain.Event) eventlog.Recorded {
	rec := recorded(c.t, stream, c.Position+1, e)
	rec.Command, rec.Time = uuid.UUID(command), c.time
	c.Apply(rec)
	return rec
}

// pass appends an event without a command after a time.
func (c *commands) pass(d time.Duration) {
	c.time = c.time.Add(d)
	c.add(domain.ID{}, "environment/lab", domain.EnvironmentDefined{})
}

func (c *commands) known(command domain.ID) bool {
	_, known := c.Receipt(command, "")
	return known
}

func TestReceiptHasTheFirstAndTheLastEventOfItsCommand(t *testing.T) {
	c := newCommands(t)
	key := domain.ID{1: 1}
	require.False(t, c.known(key))
	require.False(t, c.known(domain.ID{}), "an event without a command has no receipt")
	first := c.add(key, "project/shop", domain.ProjectDefined{Origin: domain.Origin{Actor: domain.Actor{ID: "ann"}}})
	require.Equal(t, first.Position, c.receipt(key).Position)
	require.Zero(t, c.receipt(key).Deployment)
	queued := c.add(key, "project/shop", domain.DeploymentQueued{Kind: domain.EnvironmentWide, Environment: "lab"})
	last := c.add(key, "project/blog", domain.ProjectDefined{})
	got := c.receipt(key)
	require.Equal(t, "project/shop", got.Stream)
	require.Equal(t, domain.ID(first.ID), got.First)
	require.Equal(t, first.Type, got.Type)
	require.True(t, got.HasActor)
	require.Equal(t, last.Position, got.Position)
	require.Equal(t, domain.ID(queued.ID), got.Deployment)
	c.add(domain.ID{1: 2}, "project/shop", domain.ProjectDisabled{})
	require.False(t, c.receipt(domain.ID{1: 2}).HasActor)
}

func (c *commands) receipt(command domain.ID) projections.Receipt {
	r, known := c.Receipt(command, "")
	require.True(c.t, known)
	return r
}

func TestReceiptsAreKeptForADay(t *testing.T) {
	c := newCommands(t)
	c.pass(time.Hour)
	old, later := domain.ID{1: 1}, domain.ID{1: 2}
	c.add(old, "project/shop", domain.ProjectDefined{})
	for range 12 {
		c.pass(time.Hour)
	}
	c.add(later, "project/shop", domain.ProjectDisabled{})
	for range 12 {
		c.pass(time.Hour)
	}
	newest := domain.ID{1: 3}
	c.add(newest, "project/shop", domain.ProjectEnabled{}) // forgets all receipts that are older than a day
	require.True(t, c.known(old), "it is exactly a day old")
	c.pass(time.Nanosecond)
	c.add(newest, "project/shop", domain.ProjectDisabled{})
	require.False(t, c.known(old))
	require.True(t, c.known(later))
	require.True(t, c.known(newest))
}

func TestClockThatJumpsAgesReceiptsByAnHourAtMost(t *testing.T) {
	c := newCommands(t)
	old := domain.ID{1: 1}
	c.add(old, "project/shop", domain.ProjectDefined{})
	for n := range 25 {
		require.True(t, c.known(old), "after %d jumps", n)
		c.pass(100 * time.Hour)
		c.add(domain.ID{2: byte(n + 1)}, "project/shop", domain.ProjectDefined{})
	}
	require.False(t, c.known(old))
}

func TestAllReceiptsMayBecomeTooOld(t *testing.T) {
	c := newCommands(t)
	old := domain.ID{1: 1}
	c.add(old, "project/shop", domain.ProjectDefined{})
	for range 25 {
		c.pass(time.Hour)
	}
	c.add(old, "project/shop", domain.ProjectDisabled{})
	require.False(t, c.known(old))
}
