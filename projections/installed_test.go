package projections_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/droverhq/drover/domain"
	"github.com/droverhq/drover/eventlog"
	"github.com/droverhq/drover/projections/projectionstest"
)

func TestMachineIsBehindUntilItHasTheWantedReleaseCompletely(t *testing.T) {
	h := projectionstest.OneMachine(t)
	p, m := h.Projects["shop"], h.Machines["web-01"]
	require.True(t, h.Behind(p, m), "nothing is installed")
	h.Attempt("web-01", "1.0", domain.PartSucceeded, "")
	require.False(t, h.Behind(p, m))
	d := queue(h) // a person deploys the same release again
	h.Claim(d, "web-01")
	h.End(d, "web-01", domain.PartFailed, "")
	require.True(t, h.Dirty(p, m))
	require.True(t, h.Behind(p, m))
	h.Disconnect("web-01")
	h.Connect("web-01", projectionstest.Server, domain.ID{9: 9})
	require.False(t, h.Dirty(p, m), "a new disk is empty")
	require.Empty(t, h.Actual(p, m))
	require.True(t, h.Behind(p, m))
	h.Project("blog", domain.ProjectSettings{})
	require.False(t, h.Behind(h.Projects["blog"], m), "nothing is wanted")
	require.False(t, h.Dirty(h.Projects["blog"], m))
}

func TestFailedAttemptsCountForOneReleaseAndInstance(t *testing.T) {
	h := projectionstest.OneMachine(t)
	p, m := h.Projects["shop"], h.Machines["web-01"]
	attempts := func() (count int, last eventlog.Position) { return h.Attempts(p, m) }
	require := require.New(t)
	expect := func(count int, last eventlog.Position) {
		n, at := attempts()
		require.Equal(count, n)
		require.Equal(last, at)
	}
	expect(0, 0)
	h.Attempt("web-01", "1.0", domain.PartFailed, "")
	h.Attempt("web-01", "1.0", domain.PartFailed, "")
	last := h.Position - 1 // the end of the part
	expect(2, last)
	require.False(h.Exhausted(p, m))
	h.Attempt("web-01", "1.0", domain.PartFailed, "")
	require.Equal(3, p.Settings.Attempts)
	require.True(h.Exhausted(p, m))

	h.Release("shop", "2.0")
	h.Add("project/shop", domain.PinSet{Environment: "production", Release: "2.0", Reason: "try"})
	h.Attempt("web-01", "2.0", domain.PartFailed, "")
	expect(1, h.Position-1)
	h.Add("project/shop", domain.PinLifted{Environment: "production", Reason: domain.Expired})
	expect(0, 0) // of another release
	h.Attempt("web-01", "1.0", domain.PartFailed, "")
	expect(1, h.Position-1)
	h.Disconnect("web-01")
	h.Connect("web-01", projectionstest.Server, domain.ID{9: 9})
	expect(0, 0) // of another instance
	h.Attempt("web-01", "1.0", domain.PartFailed, "")
	expect(1, h.Position-1)
}

func TestAnotherDiskIsNotBlamedForTheHealthAfterAnAttempt(t *testing.T) {
	h := projectionstest.OneMachine(t)
	p, m := h.Projects["shop"], h.Machines["web-01"]
	require.False(t, h.MadeUnhealthy(p, m))
	h.Attempt("web-01", "1.0", domain.PartFailed, "")
	unhealthy(h)
	require.True(t, h.MadeUnhealthy(p, m))
	h.Disconnect("web-01")
	h.Connect("web-01", projectionstest.Server, domain.ID{9: 9})
	h.Add("machine/web-01", domain.MachineHealthChanged{Status: domain.Unhealthy, Session: m.Session})
	require.False(t, h.MadeUnhealthy(p, m))
}

func TestPersonDeploysWhileARolloutOrAPartOfThemIsOpen(t *testing.T) {
	h := projectionstest.OneMachine(t)
	h.Project("blog", domain.ProjectSettings{})
	p, m := h.Projects["shop"], h.Machines["web-01"]
	require.False(t, h.PersonDeploys(p, m))
	part := automatic(h, "joins")
	require.False(t, h.PersonDeploys(p, m), "an automatic part is open")
	d := queue(h)
	require.True(t, h.PersonDeploys(p, m))
	require.False(t, h.PersonDeploys(h.Projects["blog"], m))
	require.Equal(t, domain.PartCancelled, part.State, "the person's part replaces it")
	h.Claim(d, "web-01")
	require.True(t, h.PersonDeploys(p, m))
	h.End(d, "web-01", domain.PartSucceeded, "")
	require.False(t, h.PersonDeploys(p, m), "its part has ended")
	wide(h, "production", 0)
	require.True(t, h.PersonDeploys(p, m))
	h.Disconnect("web-01")
}

func TestLastTwoSuccessesOfAMachineAreKnown(t *testing.T) {
	h := projectionstest.OneMachine(t)
	run := func(state domain.PartState) domain.ID {
		d := start(h)
		end(h, d, state)
		return projectionstest.ID(h.Position)
	}
	recent := func(success domain.ID) bool { return h.IsRecentSuccess("web-01", "shop", success) }
	require.False(t, recent(domain.ID{8: 8}))
	first := run(domain.PartSucceeded)
	require.True(t, recent(first))
	second := run(domain.PartSucceeded)
	failed := run(domain.PartFailed)
	require.True(t, recent(first))
	require.True(t, recent(second))
	require.False(t, recent(failed))
	third := run(domain.PartSucceeded)
	require.False(t, recent(first), "the engine looks it up in the log")
	require.True(t, recent(second))
	require.True(t, recent(third))
	require.False(t, h.IsRecentSuccess("web-02", "shop", third))
	require.False(t, h.IsRecentSuccess("web-01", "blog", third))
	h.Add("project/shop", domain.ProjectDeleted{})
	h.Add(domain.PartStream(domain.ID{8: 8}, "web-01"), domain.PartEnded{Project: "shop", State: domain.PartSucceeded})
	require.Empty(t, h.Machines["web-01"].Installed, "a late success of the deleted project")
}
