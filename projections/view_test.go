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

// damaged returns an event that cannot be decoded.
func damaged(stream string, position eventlog.Position, e domain.Event) eventlog.Recorded {
	return eventlog.Recorded{Stream: stream, Position: position, Event: eventlog.Event{ID: uuid.New(),
		Type: domain.TypeName(e), Data: []byte(`{"environment":7,"stream":7,"was":7}`)}}
}

func TestFormerIDsOfARestoredLogAreKnown(t *testing.T) {
	h := projectionstest.New(t)
	former, other := domain.ID{7: 1}, domain.ID{7: 2}
	had := h.World().Restored
	require.False(t, had(former))
	first := h.Add("watch", domain.LogRestored{Was: former})
	require.True(t, had(former))
	require.False(t, had(first), "the log still has this id")
	second := h.Add("watch", domain.LogRestored{Was: other}) // of an older backup
	require.True(t, had(former))
	require.True(t, had(other))
	require.True(t, had(first))
	require.False(t, had(second))
	require.Equal(t, []projections.Restore{{Was: former, ID: first, Position: 1}, {Was: other, ID: second, Position: 2}},
		h.Restores)
}

func TestTimeOfTheViewNeverGoesBack(t *testing.T) {
	v := projections.New()
	rec := recorded(t, "environment/lab", 1, domain.EnvironmentDefined{})
	rec.Time = projectionstest.Start
	v.Apply(rec)
	rec.Position, rec.Time = 2, projectionstest.Start.Add(-time.Hour)
	v.Apply(rec)
	require.Equal(t, projectionstest.Start, v.Time)
}

func TestFirstUnknownEventIsReported(t *testing.T) {
	v := projections.New()
	for position := range eventlog.Position(2) {
		rec := unknown(position+1, "machine/web-01")
		rec.Type = "future." + string(rune('a'+position)) + "/v1"
		v.Apply(rec)
	}
	require.Equal(t, projections.Fence{Type: "future.a/v1", Position: 1}, v.Fence)
}

// Only these two events end a state in which nothing else could be folded (law 18).
func TestOnlyAClearedStreamAndARestoreAreFoldedOnAWatchStreamThatIsSetAside(t *testing.T) {
	h := projectionstest.New(t)
	server := h.Add("server/"+projectionstest.Server.String(), domain.ServerStarted{DecisionVersion: 1})
	aside := func() {
		h.Apply(damaged("watch", h.Position+1, domain.LogRestored{}))
		require.True(t, h.SetAside("watch"))
	}
	aside()
	bad := h.Aside["watch"].Position
	apply := func(stream string, e domain.Event) domain.Event { return h.Apply(recorded(t, stream, h.Position+1, e)) }
	require.Nil(t, apply("watch", domain.WatchPassed{Since: server}))
	require.Zero(t, h.Watch.Last)
	require.NotNil(t, apply("watch", domain.LogRestored{Was: domain.ID{7: 1}}))
	require.True(t, h.World().Restored(domain.ID{7: 1}))
	h.Apply(damaged("watch", h.Position+1, domain.StreamCleared{}))
	require.Equal(t, bad, h.Aside["watch"].Position, "the first invalid event is shown")
	h.Apply(damaged("machine/web-01", h.Position+1, domain.MachineAdded{}))
	require.Nil(t, apply("machine/web-01", domain.StreamCleared{Stream: "watch"}), "only a person writes to the watch stream")
	require.True(t, h.SetAside("watch"))

	require.NotNil(t, apply("watch", domain.StreamCleared{Stream: "watch"}))
	require.NotZero(t, h.Watch.Last, "it was waiting")
	require.Greater(t, h.Aside["watch"].Position, bad, "the next invalid event was waiting, too")
	require.NotNil(t, apply("watch", domain.StreamCleared{Stream: "watch"}))
	require.False(t, h.SetAside("watch"))
}

func TestEventsAfterASecondInvalidOneKeepWaiting(t *testing.T) {
	h := shopOn(t, "web-01")
	stream := "machine/web-01"
	apply := func(rec eventlog.Recorded) { h.Apply(rec) }
	apply(damaged(stream, h.Position+1, domain.MachineAdded{}))
	apply(recorded(t, stream, h.Position+1, domain.MachineDisabled{}))
	apply(damaged(stream, h.Position+1, domain.MachineAdded{}))
	apply(recorded(t, stream, h.Position+1, domain.MachineEnabled{}))
	m, clear := h.Machines["web-01"], domain.StreamCleared{Stream: stream}
	require.False(t, m.Disabled)
	h.Add("watch", clear)
	require.True(t, m.Disabled)
	require.True(t, h.SetAside(stream))
	h.Add("watch", clear)
	require.False(t, m.Disabled)
	require.False(t, h.SetAside(stream))
	h.Add("watch", clear) // it is not set aside
	require.False(t, h.SetAside(stream))
}

func TestStreamOfAProjectThatDoesNotExistCanBeSetAside(t *testing.T) {
	h := shopOn(t, "web-01")
	h.SetAsideStream("project/blog")
	h.Add("watch", domain.StreamCleared{Stream: "project/blog"})
	require.Empty(t, h.Aside)
	require.Nil(t, h.Projects["blog"])
}

func TestStreamThatIsSetAsideOrClearedTouchesItsMachines(t *testing.T) {
	for _, stream := range []string{"machine/web-01", "project/shop"} {
		h := shopOn(t, "web-01", "web-02")
		queue(h)
		touched := func() (names []string) {
			for _, r := range h.Touched() {
				names = append(names, r.Name)
			}
			return names
		}
		touched()
		h.SetAsideStream(stream)
		require.Equal(t, []string{"web-01"}, touched(), stream)
		h.Add("watch", domain.StreamCleared{Stream: stream})
		require.Equal(t, []string{"web-01"}, touched(), stream)
		require.Empty(t, touched())
	}
}
