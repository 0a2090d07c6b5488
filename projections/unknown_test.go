package projections_test

import (
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/droverhq/drover/domain"
	"github.com/droverhq/drover/eventlog"
	"github.com/droverhq/drover/projections"
)

// unknown returns an event of an unknown type.
func unknown(position eventlog.Position, stream string) eventlog.Recorded {
	return eventlog.Recorded{Stream: stream, Position: position,
		Event: eventlog.Event{ID: uuid.New(), Type: "future.happened/v1", Data: []byte(`{}`)}}
}

func TestUnknownEventOfAnInformationalStreamIsCounted(t *testing.T) {
	for name, stream := range map[string]string{
		"stream of a server":    "server/00000000-0000-0000-0000-000000000001",
		"newer kind of stream":  "subscription/shop",
		"stream without a kind": "notes",
	} {
		t.Run(name, func(t *testing.T) {
			v := projections.New()
			v.Apply(unknown(1, stream))
			v.Apply(unknown(2, stream))
			require.Equal(t, map[string]projections.Ignored{"future.happened/v1": {First: 1, Count: 2}}, v.Ignored)
			require.Equal(t, projections.Fence{}, v.Fence)
			require.Empty(t, v.Aside)
		})
	}
}

func TestUnknownEventThatCouldForbidSomethingStopsDeciding(t *testing.T) {
	for _, stream := range []string{"machine/web-01", "project/shop", "release/shop/x/1.0", "part/x/web-01",
		"environment/lab", "policy/tame",
		"token/0123456789ab", domain.WatchStream} {
		v := projections.New()
		v.Apply(unknown(1, stream))
		require.Equal(t, projections.Fence{Type: "future.happened/v1", Position: 1}, v.Fence, stream)
		require.Empty(t, v.Ignored)
	}
}

func TestNumberOfCountedUnknownTypesIsBounded(t *testing.T) {
	v := projections.New()
	for i := range 1000 {
		rec := unknown(eventlog.Position(i+1), "notes")
		rec.Type = uuid.NewString()
		v.Apply(rec)
	}
	require.Len(t, v.Ignored, 100)
}

func TestNewerVersionOfAKnownTypeStopsDecidingOnAnyStream(t *testing.T) {
	rec := unknown(1, "server/00000000-0000-0000-0000-000000000001")
	rec.Type = "server.started/v2" // it may forbid this version to decide
	v := projections.New()
	v.Apply(rec)
	require.Equal(t, projections.Fence{Type: "server.started/v2", Position: 1}, v.Fence)
	require.Empty(t, v.Ignored)
}

func TestKnownEventOnAnUnownedStreamIsCounted(t *testing.T) {
	rec := unknown(1, "subscription/shop")
	rec.Type, rec.Data = domain.TypeName(domain.MachineEnabled{}), []byte(`{}`)
	v := projections.New()
	v.Apply(rec)
	require.Equal(t, 1, v.Ignored[rec.Type].Count)
	require.Empty(t, v.Aside)
	require.Equal(t, projections.Fence{}, v.Fence)
}

func TestContradictoryFoldsPanic(t *testing.T) {
	state := func() any { return 1 }
	save, load := func(*projections.Saving) any { return nil }, func(*projections.Loading) {}
	for name, row := range map[string]projections.Fold{
		"a name in use":                      {Name: "machines"},
		"a state without Save":               {Name: "new", New: state},
		"a state with Save but without Load": {Name: "new", New: state, Save: save},
		"a second owner of a kind of streams": {Name: "new", New: state, Save: save, Load: load,
			Streams: []string{domain.MachineStreams}},
	} {
		require.Panics(t, func() { projections.New(row) }, name)
	}
}
