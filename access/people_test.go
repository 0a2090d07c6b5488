package access_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/droverhq/drover/access"
	"github.com/droverhq/drover/api/client"
	"github.com/droverhq/drover/api/problem"
	"github.com/droverhq/drover/domain"
	"github.com/droverhq/drover/eventlog"
	"github.com/droverhq/drover/eventlog/memory"
	"github.com/droverhq/drover/explain"
)

// stepClock is a clock that a test moves.
type stepClock struct{ elapsed time.Duration }

func (c *stepClock) Now() time.Time {
	return time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC).Add(c.elapsed)
}
func (c *stepClock) Elapsed() time.Duration { return c.elapsed }

func TestAPersonIsKnownByNameUntilThatIsErased(t *testing.T) {
	log, clock := memory.New(), &stepClock{}
	people, elsewhere := access.NewPeople(log, clock), access.NewPeople(log, clock)
	ada, err := people.Add(t.Context(), domain.ID{1}, " Ada Lovelace ")
	require.NoError(t, err)
	require.Equal(t, "Ada Lovelace", ada.Name)
	again, err := people.Add(t.Context(), domain.ID{1}, "Ada Lovelace")
	require.NoError(t, err)
	require.Equal(t, ada, again, "the same request again adds nobody")

	did := domain.Origin{By: "token 1", Actor: domain.Actor{Kind: domain.PersonActor, ID: ada.ID}}
	who := func(p *access.People) string {
		names, err := p.Names(t.Context())
		require.NoError(t, err)
		return names.Who(did)
	}
	require.Equal(t, "Ada Lovelace", who(people))
	require.Equal(t, "Ada Lovelace", who(elsewhere))
	require.NoError(t, people.Erase(t.Context(), ada.ID))
	require.Equal(t, explain.ErasedPerson, who(people))
	clock.elapsed += time.Minute
	require.Equal(t, explain.ErasedPerson, who(elsewhere), "another server forgets it soon after")
	require.Equal(t, client.NotFound, problem.Of(people.Erase(t.Context(), ada.ID)).Kind)
}

func TestAnIDThatNobodyHasIsRefused(t *testing.T) {
	people := access.NewPeople(memory.New(), &stepClock{})
	require.NoError(t, people.Known(t.Context(), ""))
	require.Equal(t, client.NotFound, problem.Of(people.Known(t.Context(), "p-000000000000")).Kind)
}

func TestANameThatCannotBeShownIsRefused(t *testing.T) {
	people := access.NewPeople(memory.New(), &stepClock{})
	for _, name := range []string{"", " ", strings.Repeat("a", 201), "Ada\x1b[31m", "Ada\nLovelace", "\xff"} {
		_, err := people.Add(t.Context(), domain.ID{1}, name)
		require.Equal(t, client.Invalid, problem.Of(err).Kind, "%q", name)
	}
}

// brokenStore is a store that cannot be read.
type brokenStore struct{ eventlog.Store }

func (brokenStore) Newest(context.Context, eventlog.Collection) (map[string]eventlog.Item, error) {
	return nil, errors.New("the disk is gone")
}

func TestPeopleAreNotTakenForErasedWhenTheirNamesCannotBeRead(t *testing.T) {
	_, err := access.NewPeople(brokenStore{}, &stepClock{}).Names(t.Context())
	require.ErrorContains(t, err, "the disk is gone")
}
