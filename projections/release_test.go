package projections_test

import (
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/droverhq/drover/domain"
	"github.com/droverhq/drover/eventlog"
	"github.com/droverhq/drover/projections/projectionstest"
)

// defineShop creates or changes project shop.
func defineShop(h *projectionstest.History) domain.ID {
	return h.Add("project/shop", domain.ProjectDefined{Settings: domain.ProjectSettings{Steps: []domain.Step{{Name: "a",
		Run: "b"}}}})
}

func TestReleaseBelongsToTheIncarnationThatItNames(t *testing.T) {
	r := projectionstest.New(t)
	first := defineShop(r)
	late := domain.ReleaseCreated{Incarnation: first, Version: "1.1"}
	r.Add(domain.ReleaseStream("shop", first, "1.0"), domain.ReleaseCreated{Incarnation: first, Version: "1.0"})
	require.Equal(t, []string{"1.0"}, r.Projects["shop"].Versions)
	defineShop(r) // a change of settings keeps the incarnation
	require.Equal(t, first, r.Projects["shop"].Incarnation)

	r.Add("project/shop", domain.ProjectDeleted{})
	second := defineShop(r)
	require.Equal(t, second, r.Projects["shop"].Incarnation)
	r.Add(domain.ReleaseStream("shop", first, "1.1"), late) // it was decided before the deletion and appended after it
	require.Empty(t, r.Projects["shop"].Versions, "a release of a deleted project does not belong to its successor")
	require.Empty(t, r.Aside)
}

func TestVersionOfAnOldReleaseEventStaysInUse(t *testing.T) {
	r := projectionstest.New(t)
	incarnation := defineShop(r)
	r.Add("project/shop", domain.ReleaseCreated{Version: "1.0", Steps: []domain.Step{{Name: "old", Run: "old"}}})
	r.Add(domain.ReleaseStream("shop", incarnation, "1.0"), domain.ReleaseCreated{Incarnation: incarnation,
		Version: "1.0"})
	require.Equal(t, "old", r.Projects["shop"].Releases["1.0"].Steps[0].Name)
	_, refused := domain.CreateRelease{Project: "shop", Version: "1.0"}.Decide(r.World())
	require.Equal(t, domain.Conflict, refused.Kind)
}

func TestDeploymentUsesTheReleaseAsOfItsOwnPosition(t *testing.T) {
	r := projectionstest.New(t)
	incarnation := defineShop(r)
	r.Add("environment/lab", domain.EnvironmentDefined{})
	queued := domain.DeploymentQueued{Kind: domain.EnvironmentWide, Environment: "lab", Release: "1.0"}
	before := r.Add("project/shop", queued)
	r.Add(domain.ReleaseStream("shop", incarnation, "1.0"), domain.ReleaseCreated{Incarnation: incarnation,
		Version: "1.0"})
	after := r.Add("project/shop", queued)
	require.Nil(t, r.Deployments[before].Content)
	require.Equal(t, "1.0", r.Deployments[after].Content.Version)
}

func TestReleaseStreamThatContradictsItsNameIsSetAside(t *testing.T) {
	for name, c := range map[string]struct {
		stream string
		event  domain.Event
	}{
		"another version":     {"1.1", domain.ReleaseCreated{Version: "1.0"}},
		"another incarnation": {"1.0", domain.ReleaseCreated{Version: "1.0", Incarnation: domain.ID{1}}},
		"another event":       {"1.0", domain.ProjectEnabled{}},
	} {
		t.Run(name, func(t *testing.T) {
			r := projectionstest.New(t)
			incarnation := defineShop(r)
			if e, ok := c.event.(domain.ReleaseCreated); ok && e.Incarnation.IsZero() {
				e.Incarnation, c.event = incarnation, domain.ReleaseCreated{Version: e.Version,
					Incarnation: incarnation}
			}
			stream := domain.ReleaseStream("shop", incarnation, c.stream)
			r.Apply(recorded(t, stream, r.Position+1, c.event))
			require.True(t, r.SetAside(stream))
			require.False(t, r.SetAside("project/shop"), "the project continues without that release")
			require.Empty(t, r.Projects["shop"].Versions)
		})
	}
}

// recorded returns an event, which need not be foldable.
func recorded(t *testing.T, stream string, position eventlog.Position, e domain.Event) eventlog.Recorded {
	typeName, data, err := domain.Encode(e)
	require.NoError(t, err)
	return eventlog.Recorded{Stream: stream, Position: position, Event: eventlog.Event{ID: uuid.New(), Type: typeName,
		Data: data}}
}
