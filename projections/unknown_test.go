package projections_test

import (
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/droverhq/drover/domain"
	"github.com/droverhq/drover/eventlog"
	"github.com/droverhq/drover/projections"
)

// unknown is an event of a type that this drover does not know.
func unknown(position eventlog.Position, stream string) eventlog.Recorded {
	return eventlog.Recorded{Stream: stream, Position: position,
		Event: eventlog.Event{ID: uuid.New(), Type: "future.happened/v1", Data: []byte(`{}`)}}
}

func TestAnUnknownEventIsIgnoredAndShownWhereNothingIsDecided(t *testing.T) {
	for name, stream := range map[string]string{
		"a stream of a server":            "server/00000000-0000-0000-0000-000000000001",
		"a kind of stream that is newer":  "subscription/shop",
		"a stream without a kind of note": "notes",
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

func TestAnUnknownEventStopsDecidingWhereItCouldForbidSomething(t *testing.T) {
	for _, stream := range []string{"machine/web-01", "project/shop", "release/shop/x/1.0", "part/x/web-01", "environment/lab", "policy/tame",
		"token/0123456789ab", domain.WatchStream} {
		v := projections.New()
		v.Apply(unknown(1, stream))
		require.Equal(t, projections.Fence{Type: "future.happened/v1", Position: 1}, v.Fence, stream)
		require.Empty(t, v.Ignored)
	}
}

func TestHowManyUnknownTypesAreRememberedIsBounded(t *testing.T) {
	v := projections.New()
	for i := range 1000 {
		rec := unknown(eventlog.Position(i+1), "notes")
		rec.Type = uuid.NewString()
		v.Apply(rec)
	}
	require.Len(t, v.Ignored, 100)
}

func TestANewerVersionOfAKnownTypeStopsDecidingEverywhere(t *testing.T) {
	rec := unknown(1, "server/00000000-0000-0000-0000-000000000001")
	rec.Type = "server.started/v2" // it may say that this drover must not decide any more
	v := projections.New()
	v.Apply(rec)
	require.Equal(t, projections.Fence{Type: "server.started/v2", Position: 1}, v.Fence)
	require.Empty(t, v.Ignored)
}

func TestAKindOfStreamThatNobodyOwnsIsIgnoredWhateverItsEventsAre(t *testing.T) {
	rec := unknown(1, "subscription/shop")
	rec.Type, rec.Data = domain.TypeName(domain.MachineEnabled{}), []byte(`{}`)
	v := projections.New()
	v.Apply(rec)
	require.Equal(t, 1, v.Ignored[rec.Type].Count)
	require.Empty(t, v.Aside)
	require.Equal(t, projections.Fence{}, v.Fence)
}

func TestRowsThatContradictEachOtherAreRefused(t *testing.T) {
	state := func() any { return 1 }
	save, load := func(*projections.Saving) any { return nil }, func(*projections.Loading) {}
	for name, row := range map[string]projections.Fold{
		"a name that is taken":               {Name: "machines"},
		"a state that no snapshot holds":     {Name: "new", New: state},
		"a state that is saved and not read": {Name: "new", New: state, Save: save},
		"a second owner of a kind":           {Name: "new", New: state, Save: save, Load: load, Streams: []string{domain.MachineStreams}},
	} {
		require.Panics(t, func() { projections.New(row) }, name)
	}
}
