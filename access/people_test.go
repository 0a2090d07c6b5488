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

// stepClock is a clock that tests advance.
type stepClock struct{ elapsed time.Duration }

func (c *stepClock) Now() time.Time {
	return time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC).Add(c.elapsed)
}
func (c *stepClock) Elapsed() time.Duration { return c.elapsed }

func TestErasedNamesAreNoLongerShown(t *testing.T) {
	log, clock := memory.New(), &stepClock{}
	people, elsewhere := access.NewPeople(log, clock), access.NewPeople(log, clock)
	ada, err := people.Add(t.Context(), domain.ID{1}, " Ada Lovelace ")
	require.NoError(t, err)
	require.Equal(t, "Ada Lovelace", ada.Name)
	again, err := people.Add(t.Context(), domain.ID{1}, "Ada Lovelace")
	require.NoError(t, err)
	require.Equal(t, ada, again, "a repeated request adds no second person")

	did := domain.Origin{By: "token 1", Actor: domain.Actor{Kind: domain.PersonActor, ID: ada.ID}}
	who := func(p *access.People) string {
		return p.Names(t.Context()).Who(did)
	}
	require.Equal(t, "Ada Lovelace", who(people))
	require.Equal(t, "Ada Lovelace", who(elsewhere))
	require.NoError(t, people.Erase(t.Context(), ada.ID))
	require.Equal(t, explain.ErasedPerson, who(people))
	clock.elapsed += time.Minute
	require.Equal(t, explain.ErasedPerson, who(elsewhere), "another server stops showing the name soon after")
	require.Equal(t, client.NotFound, problem.Of(people.Erase(t.Context(), ada.ID)).Kind)
	_, err = people.Add(t.Context(), domain.ID{1}, "Ada Lovelace")
	require.Equal(t, client.Conflict, problem.Of(err).Kind, "a repeated request does not restore an erased name")
}

func TestReusedIdempotencyKeyIsRejected(t *testing.T) {
	people := access.NewPeople(memory.New(), &stepClock{})
	ada, err := people.Add(t.Context(), domain.ID{1}, "Ada")
	require.NoError(t, err)
	_, err = people.Add(t.Context(), domain.ID{1}, "Bob")
	require.Equal(t, client.Conflict, problem.Of(err).Kind)
	require.Equal(t, "Ada", people.Names(t.Context())[ada.ID])
}

func TestPersonAddedOnAnotherServerIsFound(t *testing.T) {
	log, clock := memory.New(), &stepClock{}
	here, elsewhere := access.NewPeople(log, clock), access.NewPeople(log, clock)
	require.Empty(t, elsewhere.Names(t.Context()))
	ada, err := here.Add(t.Context(), domain.ID{1}, "Ada")
	require.NoError(t, err)
	require.NoError(t, elsewhere.Check(t.Context(), ada.ID))
}

func TestUnknownPersonIsRejected(t *testing.T) {
	people := access.NewPeople(memory.New(), &stepClock{})
	require.NoError(t, people.Check(t.Context(), ""))
	require.Equal(t, client.NotFound, problem.Of(people.Check(t.Context(), "p-000000000000")).Kind)
}

func TestInvalidNamesAreRejected(t *testing.T) {
	people := access.NewPeople(memory.New(), &stepClock{})
	for _, name := range []string{"", " ", strings.Repeat("a", 201), "Ada\x1b[31m", "Ada\nLovelace", "\xff"} {
		_, err := people.Add(t.Context(), domain.ID{1}, name)
		require.Equal(t, client.Invalid, problem.Of(err).Kind, "%q", name)
	}
}

// brokenStore is a store whose reads fail if fails is set.
type brokenStore struct {
	eventlog.Store
	fails bool
}

func (s *brokenStore) Newest(ctx context.Context, c eventlog.Collection) (map[string]eventlog.Item, error) {
	if s.fails {
		return nil, errors.New("the disk is gone")
	}
	return s.Store.Newest(ctx, c)
}

func TestFailedReadDoesNotShowPeopleAsErased(t *testing.T) {
	store, clock := &brokenStore{Store: memory.New()}, &stepClock{}
	people := access.NewPeople(store, clock)
	ada, err := people.Add(t.Context(), domain.ID{1}, "Ada")
	require.NoError(t, err)
	did := domain.Origin{By: "token 1", Actor: domain.Actor{Kind: domain.PersonActor, ID: ada.ID}}
	store.fails = true
	require.Equal(t, "person "+ada.ID, people.Names(t.Context()).Who(did), "no names were read yet")
	store.fails = false
	require.Equal(t, "Ada", people.Names(t.Context()).Who(did))
	store.fails, clock.elapsed = true, time.Minute
	require.Equal(t, "Ada", people.Names(t.Context()).Who(did), "the names that were read last are shown")
	require.Error(t, people.Check(t.Context(), ada.ID))
}
